"""Runs of Tables 1, 2, 3 and 10: which methods stand in them, and which join when named."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from benchmarks.methods.base import Method
from benchmarks.methods.delta import DeltaNetworks
from benchmarks.methods.fc_only import FcOnly
from benchmarks.methods.finetune import FineTune
from benchmarks.methods.listing import JOINING
from benchmarks.methods.paint import Paint
from benchmarks.methods.readings import READINGS
from benchmarks.records.gates import runs_with_gates
from benchmarks.records.names import (
    ADAPTERS,
    ADAPTERS_SEARCH,
    AGREEMENT,
    GATES_ALONE,
    LITERAL,
    MAPS,
    RATES,
    TABLE1_WEIGHTS,
    TABLE10_MORE_ARCHITECTURES,
)
from benchmarks.spec import Run
from benchmarks.suites.base import Table
from benchmarks.suites.patching import (
    ablations,
    adapters,
    adapters_search,
    agreement,
    defaults_study,
    from_scratch,
    rates,
)
from benchmarks.suites.patching.spec import RunSpec, run_of
from benchmarks.suites.patching.world import (
    DECATHLON,
    JOINT_TASKS,
    PATCHING_TASKS,
    TABLE1_ARCHITECTURES,
    TABLE2_ARCHITECTURES,
)
from benchmarks.worlds.recipes import Recipes
from benchmarks.worlds.world import World
from delta_core import DeltaConfig


def references(recipes: Recipes) -> list[Method]:
    """FC-only, PAINT at both learning rates, and full fine-tuning where PAINT at alpha = 1 is not it."""
    return [
        FcOnly(recipe=recipes.head),
        *(Paint(recipe=recipe) for recipe in recipes.paint),
        *([FineTune(recipe=recipes.finetune)] if recipes.finetune else []),
    ]


def deltas(recipes: Recipes, modules: Iterable[int], reading: str = MAPS) -> list[Method]:
    """Delta-Networks as this library has them, or in another reading."""
    recipe = recipes.delta[reading]
    return [DeltaNetworks(recipe=recipe, config=READINGS[reading](n_modules=n), reading=reading) for n in modules]


def both_readings(recipes: Recipes, modules: Sequence[int]) -> list[Method]:
    """What the paper's text says, and what this library has."""
    return [*deltas(recipes, modules, LITERAL), *deltas(recipes, modules)]


def adapted(recipes: Recipes) -> list[Method]:
    """Table 1's adapters and BatchNormAdapt, what a reader of today would ask for beside them, and an arm of ours."""
    identity = DeltaConfig.gates_alone(n_modules=4, gate_start="identity")
    return [
        *(each.load()(recipe=recipes.of(each)) for each in JOINING),
        DeltaNetworks(recipe=recipes.delta[GATES_ALONE], config=identity, reading="identity"),
    ]


def table1(world: World, seeds: int) -> list[RunSpec]:
    """Table 1, all methods on nine tasks; the paper has ResNet-18 alone."""
    world, recipes = _world_of_table1(world), world.recipes
    methods = [*references(recipes), *adapted(recipes), *both_readings(recipes, (4,))]
    return patching_runs(world, world.weights, methods, seeds)


def more_for_table1(world: World, seeds: int) -> Sequence[Run]:
    """What joins Table 1 when it is named."""
    world = _world_of_table1(world)
    return patching_runs(world, world.weights, deltas(world.recipes, (4,), GATES_ALONE), seeds)


def _world_of_table1(world: World) -> World:
    world = replace(world, weights=world.among(TABLE1_ARCHITECTURES))
    if world.scale == "paper":
        world = replace(world, weights=dict.fromkeys(world.weights, TABLE1_WEIGHTS))
    return world


def table2(world: World, seeds: int) -> list[RunSpec]:
    """Table 2, single-task patching: four architectures, six tasks, Delta (1), (2), (4) against PAINT.

    FC-only and full fine-tuning are our references; the literal reading of the paper has its own rows.
    """
    recipes = world.recipes
    return patching_runs(
        world,
        world.among(TABLE2_ARCHITECTURES),
        [*references(recipes), *both_readings(recipes, (1, 2, 4))],
        seeds,
    )


def table10(world: World, seeds: int) -> list[RunSpec]:
    """Table 10, the runs of Table 2 as top-1 pairs, and those of larger nets, if the world has them, with Delta (1)."""
    recipes, whole = world.recipes, world.among(TABLE2_ARCHITECTURES)
    more = [name for name in TABLE10_MORE_ARCHITECTURES if name in world.weights.keys() - whole.keys()]
    methods = [*references(recipes), *both_readings(recipes, (1,))]
    return table2(world, seeds) + patching_runs(world, more, methods, seeds)


def table3(world: World, seeds: int) -> list[RunSpec]:
    """Table 3, joint patching: one head and one set of modules for three tasks at once."""
    methods = [*references(world.recipes), *both_readings(world.recipes, (1, 2, 4))]
    return patching_runs(world, world.among(TABLE2_ARCHITECTURES), methods, seeds)


def more_for_table2(world: World, seeds: int) -> Sequence[Run]:
    """Methods that join Tables 2, 3 and 10 when they are named."""
    recipes = world.recipes
    methods = [*adapted(recipes), *deltas(recipes, (1, 2, 4), GATES_ALONE)]
    return patching_runs(world, world.among(TABLE2_ARCHITECTURES), methods, seeds)


def patching_runs(world: World, architectures: Iterable[str], methods: Sequence[Method], seeds: int) -> list[RunSpec]:
    """Every architecture, task, method that suits the architecture, and seed."""
    return [
        run_of(world, architecture=architecture, task=task, method=method, seed=seed)
        for architecture in architectures
        for task in world.tasks
        for method in methods
        if method.suits(architecture)
        for seed in range(seeds)
    ]


TABLES = {
    "table1": Table(runs=table1, tasks=DECATHLON, more=more_for_table1),
    "table2": Table(runs=table2, tasks=PATCHING_TASKS, more=more_for_table2),
    "table3": Table(runs=table3, tasks=JOINT_TASKS, more=more_for_table2),
    "table8": Table(runs=ablations.table8, tasks=ablations.TABLE8_TASKS),
    "table10": Table(runs=table10, tasks=PATCHING_TASKS, more=more_for_table2),
    "table12": Table(runs=from_scratch.table12, tasks=from_scratch.TABLE12_TASKS),
    "table13": Table(runs=from_scratch.table13, tasks=from_scratch.TABLE13_TASKS),
    "ablation": Table(runs=ablations.ablation, tasks=ablations.TABLE8_TASKS),
    "figures": Table(
        runs=ablations.figures,
        tasks=ablations.FIGURE_TASKS,
        more=ablations.more_for_figures,
        on_record=runs_with_gates,
    ),
    AGREEMENT: Table(runs=agreement.agreement, tasks=replace(PATCHING_TASKS, real=()), awaited=agreement.awaited),
    "study_defaults": Table(runs=defaults_study.study_defaults, tasks=PATCHING_TASKS),
    RATES: Table(runs=rates.rates, tasks=rates.RATES_TASKS),
    ADAPTERS_SEARCH: Table(runs=adapters_search.adapters_search, tasks=PATCHING_TASKS),
    ADAPTERS: Table(runs=adapters.adapters, tasks=PATCHING_TASKS, awaited=adapters.awaited),
    "adapters_best": Table(runs=adapters.adapters_best, tasks=PATCHING_TASKS, awaited=adapters.awaited),
    "adapters_long": Table(runs=adapters.adapters_long, tasks=PATCHING_TASKS, awaited=adapters.awaited),
}
