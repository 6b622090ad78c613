"""A method of one's own: one file with one class. Here the last stage's convolutions are scaled, channel by channel."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from benchmarks.methods.adapted import AdaptedMethod, stage_names, swap


class ScaledConv(nn.Module):
    """scale * conv(x), one scale per output channel, 1 at the start."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv
        self.scale = nn.Parameter(torch.ones(conv.out_channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, D, H', W')."""
        return self.scale * self.conv(x)


@dataclass(frozen=True, kw_only=True)
class LastStageScale(AdaptedMethod):
    """Train a scale behind every convolution of the last stage, and the head."""

    name: ClassVar[str] = "last_stage_scale"

    def adapt(self, net: nn.Module) -> None:
        """Put a scale behind each of them."""
        last = set(net.get_submodule(stage_names(net)[-1]).modules())
        swap(net, lambda module: isinstance(module, nn.Conv2d) and module in last, ScaledConv)
