"""Runs of Tables 1, 2, 3 and 10: which methods stand in them, and which join when named."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from benchmarks.data.embedded import DECATHLON_TASKS, PATCH_TASKS
from benchmarks.methods.base import Method
from benchmarks.methods.batchnorm_adapt import BatchNormAdapt
from benchmarks.methods.bitfit import BitFit
from benchmarks.methods.delta import DeltaNetworks
from benchmarks.methods.fc_only import FcOnly
from benchmarks.methods.finetune import FineTune
from benchmarks.methods.ia3 import Ia3
from benchmarks.methods.lora import Lora
from benchmarks.methods.norm_tuning import NormTuning
from benchmarks.methods.paint import Paint
from benchmarks.methods.parallel_adapters import ParallelAdapters
from benchmarks.methods.series_adapters import SeriesAdapters
from benchmarks.methods.ssf import ScaleShift
from benchmarks.spec import Run
from benchmarks.suites.patching.spec import RunSpec
from benchmarks.worlds.recipes import Recipes
from benchmarks.worlds.world import TaskSet, World
from delta_core import DeltaConfig

TABLE2_ARCHITECTURES = ("resnet18", "resnet34", "resnet50", "convnext_tiny")
TABLE10_MORE_ARCHITECTURES = ("resnet101", "convnext_small", "convnext_base", "convnext_large")
TABLE1_ARCHITECTURES = ("resnet18",)
TABLE1_WEIGHTS = "timm:resnet18.a1_in1k"
"""Table 1 has another base than Table 2: its harmonic means need a base top-1 of at least 71.25."""


def references(recipes: Recipes) -> list[Method]:
    """FC-only, PAINT at both learning rates, and full fine-tuning where PAINT at alpha = 1 is not it."""
    return [
        FcOnly(recipe=recipes.head),
        *(Paint(recipe=recipe) for recipe in recipes.paint),
        *([FineTune(recipe=recipes.finetune)] if recipes.finetune else []),
    ]


def deltas(recipes: Recipes, modules: Iterable[int]) -> list[Method]:
    """Delta-Networks as this library has them."""
    return [DeltaNetworks(recipe=recipes.delta, config=DeltaConfig(n_modules=n), reading="default") for n in modules]


def literal_deltas(recipes: Recipes, modules: Iterable[int]) -> list[Method]:
    """Delta-Networks as the paper's text has them."""
    return [
        DeltaNetworks(recipe=recipes.delta_paper, config=DeltaConfig.paper(n_modules=n), reading="paper")
        for n in modules
    ]


def adapted(recipes: Recipes) -> list[Method]:
    """Table 1's adapters and BatchNormAdapt, what a reader of today would ask for beside them, and an arm of ours."""
    identity = DeltaConfig(n_modules=4, gate_start="identity")
    return [
        ParallelAdapters(recipe=recipes.adapters),
        SeriesAdapters(recipe=recipes.adapters),
        BatchNormAdapt(recipe=recipes.head),
        NormTuning(recipe=recipes.tuning),
        BitFit(recipe=recipes.tuning),
        ScaleShift(recipe=recipes.tuning),
        Lora(recipe=recipes.tuning),
        Ia3(recipe=recipes.tuning),
        DeltaNetworks(recipe=recipes.delta, config=identity, reading="identity"),
    ]


def table1(world: World, seeds: int) -> list[RunSpec]:
    """Table 1, all methods on nine tasks; the paper has ResNet-18 alone."""
    world = replace(world, weights=world.among(TABLE1_ARCHITECTURES))
    if world.scale == "paper":
        world = replace(world, weights=dict.fromkeys(world.weights, TABLE1_WEIGHTS))
    recipes = world.recipes
    methods = [*references(recipes), *adapted(recipes), *literal_deltas(recipes, (4,)), *deltas(recipes, (4,))]
    return patching_runs(world, world.weights, methods, seeds)


def table2(world: World, seeds: int) -> list[RunSpec]:
    """Table 2, single-task patching: four architectures, six tasks, Delta (1), (2), (4) against PAINT.

    FC-only and full fine-tuning are our references; the literal reading of the paper has its own rows.
    """
    recipes, n = world.recipes, (1, 2, 4)
    return patching_runs(
        world,
        world.among(TABLE2_ARCHITECTURES),
        [*references(recipes), *literal_deltas(recipes, n), *deltas(recipes, n)],
        seeds,
    )


def table10(world: World, seeds: int) -> list[RunSpec]:
    """Table 10, the runs of Table 2 as top-1 pairs; at paper scale four more architectures with Delta (1)."""
    recipes = world.recipes
    more = world.among(TABLE10_MORE_ARCHITECTURES) if world.scale == "paper" else ()
    methods = [*references(recipes), *literal_deltas(recipes, (1,)), *deltas(recipes, (1,))]
    return table2(world, seeds) + patching_runs(world, more, methods, seeds)


def table3(world: World, seeds: int) -> list[RunSpec]:
    """Table 3, joint patching: one head and one set of modules for three tasks at once."""
    methods = [*references(world.recipes), *deltas(world.recipes, (1, 2, 4))]
    return patching_runs(world, world.among(TABLE2_ARCHITECTURES), methods, seeds)


def more_for_table2(world: World, seeds: int) -> Sequence[Run]:
    """Methods that join Tables 2, 3 and 10 when they are named."""
    recipes = world.recipes
    methods = [*adapted(recipes), *literal_deltas(recipes, (1, 2, 4))]
    return patching_runs(world, world.among(TABLE2_ARCHITECTURES), methods, seeds)


def patching_runs(world: World, architectures: Iterable[str], methods: Sequence[Method], seeds: int) -> list[RunSpec]:
    """Every architecture, task, method and seed, but BatchNormAdapt where there is no BatchNorm."""
    return [
        RunSpec(
            scale=world.scale,
            architecture=architecture,
            weights=world.weights[architecture],
            task=task,
            data=data,
            base_task=world.base_task,
            base_data=world.base_data,
            method=method,
            image_size=world.image_size,
            seed=seed,
        )
        for architecture in architectures
        for task, data in world.tasks.items()
        for method in methods
        if not (isinstance(method, BatchNormAdapt) and architecture.startswith("convnext"))
        for seed in range(seeds)
    ]


PATCHING_TASKS = TaskSet(embedded=PATCH_TASKS, paper=("stl10", "resisc45", "gtsrb", "flowers", "cars", "aircraft"))
"""Tables 2 and 10."""


DECATHLON = TaskSet(
    embedded=DECATHLON_TASKS,
    paper=tuple(
        f"decathlon_{name}"
        for name in ("flowers", "aircraft", "ucf101", "gtsrb", "dtd", "svhn", "cifar100", "omniglot", "daimler_ped")
    ),
)
"""Table 1."""


JOINT_TASKS = TaskSet(
    embedded=("textures+photos+shapes", "signs+mnist5k+photos", "shapes+mnist5k+signs"),
    paper=("aircraft+flowers+stl10", "gtsrb+cars+flowers", "stl10+cars+gtsrb"),
    grouping="joint",
)
"""Table 3."""
