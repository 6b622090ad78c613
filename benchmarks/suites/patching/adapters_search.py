"""The search of the adapter study: the same number of configurations for every method, compared on validation data.

A configuration is a learning rate of the method's own parts and, where the method has one, a size. The head keeps the
rate of its recipe, schedule, views and the order of the batches are those of all; only the head alone, which has no
other parts, has the head's rate searched.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from benchmarks.methods.base import Method
from benchmarks.methods.bitfit import BitFit
from benchmarks.methods.delta import DeltaNetworks
from benchmarks.methods.fc_only import FcOnly
from benchmarks.methods.finetune import FineTune
from benchmarks.methods.ia3 import Ia3
from benchmarks.methods.lora import Lora
from benchmarks.methods.norm_tuning import NormTuning
from benchmarks.methods.parallel_adapters import ParallelAdapters
from benchmarks.methods.series_adapters import SeriesAdapters
from benchmarks.methods.ssf import ScaleShift
from benchmarks.records.names import ADAPTERS_SEARCH
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
SIZED_RATES = (1e-3, 3e-3, 1e-2)
"""Of methods with a size, at each of two sizes."""
RANKS = (8, 32)


@dataclass(frozen=True, kw_only=True)
class Searched:
    """A method of the study and all of its configurations."""

    name: str
    """Unique in the study; as in rows, with the arm behind a colon where a method has several."""
    configurations: tuple[Method, ...]
    keeps_base: bool = True
    """Whether the base answers as before when the method's parts are off."""


DEFAULT_DELTA = f"{DeltaNetworks.name}:default"


def searched(recipes: Recipes) -> list[Searched]:
    """Every method of the study, six configurations each."""
    tuning = recipes.tuning
    # At scale paper the adapters of the code train longer than all others.
    sgd = replace(recipes.adapters, epochs=tuning.epochs)

    def delta(config: DeltaConfig, reading: str) -> tuple[Method, ...]:
        return _at(tuning, RATES, lambda recipe: DeltaNetworks(recipe=recipe, config=config, reading=reading))

    return [
        Searched(
            name=FcOnly.name, configurations=tuple(FcOnly(recipe=replace(tuning, head_lr=rate)) for rate in RATES)
        ),
        Searched(name=BitFit.name, configurations=_at(tuning, RATES, lambda recipe: BitFit(recipe=recipe))),
        Searched(name=Ia3.name, configurations=_at(tuning, RATES, lambda recipe: Ia3(recipe=recipe))),
        Searched(name=ScaleShift.name, configurations=_at(tuning, RATES, lambda recipe: ScaleShift(recipe=recipe))),
        Searched(name=NormTuning.name, configurations=_at(tuning, RATES, lambda recipe: NormTuning(recipe=recipe))),
        Searched(
            name=Lora.name,
            configurations=_sized(tuning, RANKS, lambda recipe, rank: Lora(recipe=recipe, rank=rank)),
        ),
        Searched(
            name=SeriesAdapters.name,
            configurations=_at(sgd, SGD_RATES, lambda recipe: SeriesAdapters(recipe=recipe)),
        ),
        Searched(
            name=ParallelAdapters.name,
            configurations=_at(sgd, SGD_RATES, lambda recipe: ParallelAdapters(recipe=recipe)),
        ),
        Searched(name=DEFAULT_DELTA, configurations=delta(DeltaConfig(), "default")),
        Searched(name=f"{DeltaNetworks.name}:paper", configurations=delta(DeltaConfig.paper(), "paper")),
        Searched(
            name=FineTune.name,
            configurations=_at(tuning, PRETRAINED_RATES, lambda recipe: FineTune(recipe=recipe)),
            keeps_base=False,
        ),
    ]


def adapters_search(world: World, seeds: int) -> list[RunSpec]:  # noqa: ARG001
    """Every configuration of every method on every task, with one seed. The base task is left out, as it is frozen.

    Tasks come last, so that a search that is cut short is whole for its first methods, and no method is chosen on a
    part of the tasks.
    """
    return [
        run_of(world, suite=ADAPTERS_SEARCH, architecture=architecture, task=task, method=method, seed=0, base=False)
        for architecture in world.among(TABLE2_ARCHITECTURES)
        for each in searched(world.recipes)
        for method in each.configurations
        if method.suits(architecture)
        for task in world.tasks
    ]


def _at(recipe: Recipe, rates: Iterable[float], make: Callable[[Recipe], Method]) -> tuple[Method, ...]:
    return tuple(make(replace(recipe, lr=rate)) for rate in rates)


def _sized(recipe: Recipe, sizes: Iterable[int], make: Callable[[Recipe, int], Method]) -> tuple[Method, ...]:
    return tuple(make(replace(recipe, lr=rate), size) for size in sizes for rate in SIZED_RATES)
