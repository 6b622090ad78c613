"""The search of the adapter study: the same number of configurations for every method, compared on validation data.

A configuration is a learning rate of the method's own parts and, where the method has one, a size. The head keeps the
rate of its recipe, schedule, views and the order of the batches are those of all; only the head alone, which has no
other parts, has the head's rate searched.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import get_args

from benchmarks.methods.base import Method
from benchmarks.methods.bitfit import BitFit
from benchmarks.methods.boft import Boft
from benchmarks.methods.conv_adapter import ConvAdapters, Placement
from benchmarks.methods.delta import DeltaNetworks
from benchmarks.methods.dora import Dora
from benchmarks.methods.fc_only import FcOnly
from benchmarks.methods.finetune import FineTune
from benchmarks.methods.ia3 import Ia3
from benchmarks.methods.last_stage import LastStage
from benchmarks.methods.loha import Loha
from benchmarks.methods.lokr import Lokr
from benchmarks.methods.lora import Lora
from benchmarks.methods.norm_tuning import NormTuning
from benchmarks.methods.oft import Oft
from benchmarks.methods.parallel_adapters import ParallelAdapters
from benchmarks.methods.series_adapters import SeriesAdapters
from benchmarks.methods.side_tuning import SideTuning
from benchmarks.methods.ssf import ScaleShift
from benchmarks.records.names import ADAPTERS_SEARCH, GATES_ALONE, LITERAL, MAPS
from benchmarks.suites.patching.searched import Searched, arm, rated, rated_heads
from benchmarks.suites.patching.spec import RunSpec, run_of
from benchmarks.suites.patching.world import TABLE2_ARCHITECTURES
from benchmarks.worlds.recipes import Recipes
from benchmarks.worlds.world import World
from delta_core import DeltaConfig
from delta_core.training.recipe import Recipe

RATES = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1)
"""Of methods without a size, by AdamW."""
PRETRAINED_RATES = (3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2)
"""Where whole layers of the net train."""
SGD_RATES = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1)
"""Around the 0.1 of the residual adapters' code."""
SIZED_RATES = (1.5e-3, 5e-3, 1.5e-2)
"""Of methods with a size, at each of two sizes."""
PRETRAINED_SIZED_RATES = (1e-4, 3e-4, 1e-3)
DEFAULT_DELTA = f"{DeltaNetworks.name}:{MAPS}"


def searched(recipes: Recipes) -> list[Searched]:
    """Every method of the study, six configurations each."""
    tuning = recipes.tuning
    # At scale paper the adapters of the code train longer than all others.
    sgd = replace(recipes.adapters, epochs=tuning.epochs)
    return [
        rated_heads(FcOnly, tuning, RATES),
        _default_delta(tuning),
        _sized(Lora, tuning, "rank", (8, 32)),
        *(rated(kind, tuning, RATES) for kind in (ScaleShift, BitFit, Ia3, NormTuning)),
        _sized(Dora, tuning, "rank", (8, 32)),
        _sized(Loha, tuning, "rank", (4, 16)),
        _sized(Lokr, tuning, "factor", (8, 4)),
        _sized(Oft, tuning, "block_size", (8, 32)),
        _conv_adapters(tuning),
        *(rated(kind, sgd, SGD_RATES) for kind in (SeriesAdapters, ParallelAdapters)),
        *(arm(rated(kind, tuning, RATES, start="zero"), "zero start") for kind in (SeriesAdapters, ParallelAdapters)),
        _sized(SideTuning, tuning, "width", (32, 128)),
        _sized(LastStage, tuning, "stages", (1, 2), PRETRAINED_SIZED_RATES),
        *(
            arm(rated(DeltaNetworks, tuning, RATES, config=config, reading=reading), reading)
            for reading, config in ((GATES_ALONE, DeltaConfig.gates_alone()), (LITERAL, DeltaConfig.paper()))
        ),
        replace(rated(FineTune, tuning, PRETRAINED_RATES), keeps_base=False),
        # Last, as its epochs take eight times LoRA's; layers that 32 does not divide would be left out.
        _sized(Boft, tuning, "block_size", (4, 8)),
    ]


def adapters_search(world: World, seeds: int) -> list[RunSpec]:  # noqa: ARG001
    """Search before the study of adapters: every configuration of every method on every task, with one seed.

    The base task is left out, as it is frozen. Tasks come last, so that a search that is cut short is whole for its
    first methods, and no method is chosen on a part of the tasks.
    """
    return [
        run_of(world, suite=ADAPTERS_SEARCH, architecture=architecture, task=task, method=method, seed=0, base=False)
        for architecture in world.among(TABLE2_ARCHITECTURES)
        for each in searched(world.recipes)
        for method in each.configurations
        if method.suits(architecture)
        for task in world.tasks
    ]


def _sized(
    kind: type[Method], recipe: Recipe, size: str, sizes: Iterable[int], rates: Iterable[float] = SIZED_RATES
) -> Searched:
    """A method with a size, which is the field of that name."""
    rates = tuple(rates)
    found = tuple(each for at in sizes for each in rated(kind, recipe, rates, **{size: at}).configurations)
    return Searched(name=kind.name, configurations=found)


def _default_delta(recipe: Recipe) -> Searched:
    """The default at two ranks of the maps on its skips."""
    found = tuple(
        method
        for rank in (16, 64)
        for method in rated(
            DeltaNetworks, recipe, SIZED_RATES, config=DeltaConfig(skip_map_rank=rank), reading=MAPS
        ).configurations
    )
    return Searched(name=DEFAULT_DELTA, configurations=found)


def _conv_adapters(recipe: Recipe) -> Searched:
    """All four placements at the middle rate, and the one of the authors' code at the others.

    From zero: adapters that start as the authors draw them move a frozen net's logits by more than their range.
    """
    places: tuple[Placement, ...] = get_args(Placement)
    low, middle, high = SIZED_RATES
    cross = [(place, middle) for place in places] + [(places[0], low), (places[0], high)]
    found = tuple(ConvAdapters(recipe=replace(recipe, lr=rate), placement=place, start="zero") for place, rate in cross)
    return Searched(name=ConvAdapters.name, configurations=found)
