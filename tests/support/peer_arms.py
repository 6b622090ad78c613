"""The arms of the peers in the study of adapters, on small nets."""

from collections.abc import Callable

import torch
from tiny import RECIPE
from torch import nn

from benchmarks.methods.adapted import AdaptedMethod, AdaptedNet
from benchmarks.methods.boft import Boft
from benchmarks.methods.conv_adapter import ConvAdapters, Placement
from benchmarks.methods.dora import Dora
from benchmarks.methods.last_stage import LastStage
from benchmarks.methods.loha import Loha
from benchmarks.methods.lokr import Lokr
from benchmarks.methods.lora import Lora
from benchmarks.methods.oft import Oft
from benchmarks.methods.parallel_adapters import ParallelAdapters
from benchmarks.methods.series_adapters import SeriesAdapters
from benchmarks.methods.side_tuning import SideTuning

PLACEMENTS: tuple[Placement, ...] = ("conv_parallel", "conv_sequential", "residual_parallel", "residual_sequential")
STARTING_AS_THE_BASE: list[AdaptedMethod] = [
    Lora(recipe=RECIPE),
    Dora(recipe=RECIPE),
    Loha(recipe=RECIPE),
    Lokr(recipe=RECIPE),
    Oft(recipe=RECIPE),
    Boft(recipe=RECIPE),
    LastStage(recipe=RECIPE),
    SideTuning(recipe=RECIPE, width=8),
    ParallelAdapters(recipe=RECIPE, start="zero"),
    SeriesAdapters(recipe=RECIPE, start="zero"),
    *(ConvAdapters(recipe=RECIPE, placement=placement, start="zero") for placement in PLACEMENTS),
]
DRAWN: list[AdaptedMethod] = [ConvAdapters(recipe=RECIPE, placement=placement) for placement in PLACEMENTS]


def arm(method: AdaptedMethod) -> str:
    return f"{method.name} {method.variant}".strip()


def adapted(method: AdaptedMethod, make_net: Callable[[], nn.Module]) -> tuple[nn.Module, AdaptedNet]:
    backbone = make_net()
    return backbone, AdaptedNet(backbone, method.adapt, 3, seed=2)


def randomised(model: AdaptedNet) -> AdaptedNet:
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data += 0.05 * torch.randn(parameter.shape, generator=generator)
    return model
