"""StochNorm: each channel flips a coin between the batch's statistics and the moving ones.

Kou et al., "Stochastic Normalization", NeurIPS 2020; thuml/Transfer-Learning-Library, normalization/stochnorm.py.
"""

from dataclasses import dataclass
from typing import ClassVar, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.batchnorm import _BatchNorm

from benchmarks.methods.base import Cell
from benchmarks.suites.transfer.methods.base import Transfer
from delta_core import JointDelta
from delta_core.training.objective import Objective


@dataclass(frozen=True, kw_only=True)
class StochNorm(Transfer):
    """Cross-entropy, with every BatchNorm of the backbone replaced by `StochasticNorm`."""

    name: ClassVar[str] = "stochnorm"
    probability: float = 0.5
    """Of the batch's statistics."""

    def prepare(self, net: JointDelta, cell: Cell) -> Objective:  # noqa: ARG002, D102
        replace_norms_(net.backbone, self.probability)
        return Objective()


class StochasticNorm(nn.Module):
    """A BatchNorm, whose weights and statistics it keeps, that in training uses moving statistics for some channels.

    Each channel draws anew at every step. The moving statistics are read before the batch updates them; in eval mode
    nothing is different. What the BatchNorm does element by element afterwards (timm's activation) is left in.
    """

    def __init__(self, norm: _BatchNorm, probability: float) -> None:
        super().__init__()
        self.norm: nn.Module = norm
        self.probability = probability

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        if not self.training:
            return cast(Tensor, self.norm(x))
        # On copies: the backward pass would otherwise see the statistics that the batch has updated.
        before = {name: self.norm.get_buffer(name).clone() for name in ("running_mean", "running_var")}
        moving = functional_call(self.norm.eval(), before, (x,))
        batch = self.norm.train()(x)
        from_batch = torch.rand(x.shape[1], device=x.device) < self.probability
        return torch.where(from_batch[:, None, None], batch, moving)


def replace_norms_(net: nn.Module, probability: float) -> None:
    """Put a `StochasticNorm` in the place of every BatchNorm of a net."""
    for parent in list(net.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, _BatchNorm):
                setattr(parent, name, StochasticNorm(child, probability))
