"""What a training minimises."""

from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F


class Objective:
    """The plain one is cross-entropy; methods that regularise derive from it."""

    betas: tuple[float, float] = (0.9, 0.999)
    """Momenta of AdamW; adversarial objectives like a lower first one."""

    def loss(self, module: nn.Module, inputs: Tensor, labels: Tensor, index: Tensor) -> Tensor:  # noqa: ARG002
        """Loss () of one batch.

        Args:
            module: what is trained, as Fabric wrapped it.
            inputs: (B, ...) on the device.
            labels: (B,) on the device.
            index: (B,) places of the examples in the split, on the CPU.
        """
        return F.cross_entropy(module(inputs), labels)

    def after_step(self) -> None:
        """Called after every optimiser step."""

    def state_dict(self) -> dict[str, Any]:
        """What it learns or remembers from step to step, the trained module left out."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` gave."""
