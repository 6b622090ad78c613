"""Side tuning (Zhang et al. 2020) as a ladder (LST, Sung et al. 2022, ylsung/Ladder-Side-Tuning) on a CNN.

A light net beside the frozen one reads what each stage puts out and adds to the features of the last. No gradient
passes through the frozen net.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.methods.adapted import AdaptedMethod
from benchmarks.methods.frozen import SHARE_OF_FULL_TRAINING
from delta_core.families import FAMILIES, SUB_BLOCKS, Plain, Units
from delta_core.training.errors import UserError

GATE_TEMPERATURE = 0.1


class Rung(nn.Module):
    """A frozen stage and the part of the side net that reads it.

    The side net's state (B, W, H, W) travels behind the channels of the frozen net: (B, C + W, H, W) ->
    (B, D + W, H', W'). The first rung gets none; the last adds its own to the features and hands on (B, D, H', W').
    """

    def __init__(self, stage: nn.Module, channels: int, width: int, *, first: bool, last: bool) -> None:
        super().__init__()
        self.stage = stage
        self.width = 0 if first else width
        self.down = nn.Conv2d(channels, width, 1)
        self.gate = None if first else nn.Parameter(torch.zeros(()))
        self.conv = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.up = nn.Conv2d(width, channels, 1) if last else None
        for parameter in self.up.parameters() if self.up else ():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        frozen, side = x.tensor_split((x.shape[1] - self.width,), dim=1)
        y: Tensor = self.stage(frozen.detach())
        read = self.down(y)
        if self.gate is not None:
            share = torch.sigmoid(self.gate / GATE_TEMPERATURE)
            read = share * F.adaptive_avg_pool2d(side, (y.shape[-2], y.shape[-1])) + (1 - share) * read
        side = read + F.relu(self.norm(self.conv(read)))
        return torch.cat([y, side], dim=1) if self.up is None else y + self.up(side)


@dataclass(frozen=True, kw_only=True)
class SideTuning(AdaptedMethod):
    """Train a side net of one 3 x 3 convolution with BatchNorm per stage, its gates and projections, and the head.

    As in LST, a rung mixes what it reads with the side net's state by a gate that starts at one half. LST predicts from
    the side net alone; here it adds to the frozen features, from zero on, so the net starts as the base.
    """

    name: ClassVar[str] = "side_tuning"
    width: int = 64
    """Channels of the side net."""

    @property
    def share_of_full_training(self) -> float:
        """No backward pass through the net; the side net's is small beside it."""
        return SHARE_OF_FULL_TRAINING[0]

    def adapt(self, net: nn.Module) -> None:
        """Put a rung around each stage.

        Raises:
            UserError: if something stands between the stages, as in a DenseNet.
        """
        layout = FAMILIES[type(net)].layout(net)
        stages = [part for part in layout if isinstance(part, Units)]
        inside = tuple(f"{stage.name}." for stage in stages)
        run = layout[layout.index(stages[0]) : layout.index(stages[-1])]
        between = [name for part in run if isinstance(part, Plain) for name in part.modules]
        if not all(name.startswith(inside) for name in between):
            raise UserError(f"Side tuning cannot pass {', '.join(between)} of {type(net).__name__} between two stages.")
        for stage in stages:
            last_unit = net.get_submodule(stage.units[-1])
            _, channels = SUB_BLOCKS[type(last_unit)].channels(last_unit)
            ends = {"first": stage is stages[0], "last": stage is stages[-1]}
            net.set_submodule(stage.name, Rung(net.get_submodule(stage.name), channels, self.width, **ends))
