"""Runs of Tables 4 and 11: which methods stand in them, and which join when named."""

from collections.abc import Sequence
from dataclasses import replace

from benchmarks.data.groups import members
from benchmarks.methods.base import Method
from benchmarks.methods.fc_only import FcOnly
from benchmarks.methods.paint import Paint
from benchmarks.records.names import GATES_ALONE, REAL_ARCHITECTURES
from benchmarks.spec import Run
from benchmarks.suites.base import Table
from benchmarks.suites.patching.table import adapted, both_readings, deltas, patching_runs
from benchmarks.suites.patching.world import JOINT_TASKS
from benchmarks.suites.sequence.spec import SequenceSpec
from benchmarks.worlds.world import World

SEQUENCES = replace(JOINT_TASKS, grouping="sequence")
"""Tables 4 and 11: the same groups, one task after the other."""


TABLE4_ARCHITECTURES = ("resnet18", "convnext_tiny", REAL_ARCHITECTURES[0])


def table4(world: World, seeds: int) -> list[Run]:
    """Tables 4 and 11, one task after the other: PAINT walks on from its own weights.

    A method that leaves the base alone learns each task as if it were the only one, so its runs are those of Table 2.
    """
    sequences: list[Run] = [
        SequenceSpec(
            scale=world.scale,
            architecture=architecture,
            weights=world.weights[architecture],
            task=task,
            data=data,
            base_task=world.base_task,
            base_data=world.base_data,
            method=Paint(recipe=recipe),
            rule=rule,
            image_size=world.image_size,
            seed=seed,
            base_transform=world.base_transforms.get(world.weights[architecture]),
        )
        for architecture in world.among(TABLE4_ARCHITECTURES)
        for task, data in world.tasks.items()
        for recipe in world.recipes.paint
        for rule in ("harmonic_mean", "mean")
        for seed in range(seeds)
    ]
    methods = [FcOnly(recipe=world.recipes.head), *both_readings(world.recipes, (1, 2, 4))]
    return sequences + single_tasks(world, methods, seeds)


def more_for_table4(world: World, seeds: int) -> Sequence[Run]:
    """Methods that join Tables 4 and 11 when they are named: all those that leave the base alone."""
    recipes = world.recipes
    return single_tasks(world, [*adapted(recipes), *deltas(recipes, (1, 2, 4), GATES_ALONE)], seeds)


def single_tasks(world: World, methods: Sequence[Method], seeds: int) -> list[Run]:
    """The methods on each task of the world's groups, once."""
    pairs = [pair for task, data in world.tasks.items() for pair in zip(members(task), members(data), strict=True)]
    alone = replace(world, tasks=dict(pairs))
    return list(patching_runs(alone, world.among(TABLE4_ARCHITECTURES), methods, seeds))


TABLES = {name: Table(runs=table4, tasks=SEQUENCES, more=more_for_table4) for name in ("table4", "table11")}
"""Table 11 is the runs of Table 4 at every alpha."""
