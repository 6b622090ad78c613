"""LoRA (Hu et al. 2022) on convolutions and linear layers, by huggingface/peft."""

from dataclasses import dataclass, field
from typing import ClassVar

from torch import nn

from benchmarks.methods.adapted import AdaptedMethod
from benchmarks.methods.peft_layers import inject, targets
from delta_core.training.identity import NEW_SINCE_RECORDED


@dataclass(frozen=True, kw_only=True)
class Lora(AdaptedMethod):
    """Train a low-rank update of every ungrouped convolution and linear layer behind the stem, and the head.

    A k x k convolution C -> D gets a k x k convolution C -> r and a 1 x 1 convolution r -> D: r (k k C + D) weights.
    """

    name: ClassVar[str] = "lora"
    rank: int = 8
    alpha: int | None = field(default=None, metadata=NEW_SINCE_RECORDED)
    """The update is scaled by alpha / rank; None = alpha is the rank, so it is not rescaled."""

    def adapt(self, net: nn.Module) -> None:
        """Inject peft's layers."""
        from peft import LoraConfig  # takes seconds to import

        alpha = self.rank if self.alpha is None else self.alpha
        inject(net, LoraConfig(r=self.rank, lora_alpha=alpha, target_modules=targets(net)))
