"""The study of agreement, as a function from a world to runs."""

from benchmarks.methods.paint_on_base import PaintOnBase
from benchmarks.records.names import AGREEMENT, UNLABELLED
from benchmarks.suites.patching.spec import RunSpec, run_of
from benchmarks.suites.patching.world import TABLE1_ARCHITECTURES
from benchmarks.worlds.world import World


def agreement(world: World, seeds: int) -> list[RunSpec]:
    """Agreement with the untouched net: PAINT at both rates, accuracy and agreement on the same base images."""
    if awaited(world):
        return []
    return [
        run_of(
            world, suite=AGREEMENT, architecture=architecture, task=task, method=PaintOnBase(recipe=recipe), seed=seed
        )
        for seed in range(seeds)
        for architecture in world.among(TABLE1_ARCHITECTURES)
        for task in world.tasks
        for recipe in world.recipes.paint
    ]


def awaited(world: World) -> list[str]:
    """What a base without labels lacks."""
    if world.base_task and not world.base_task.startswith(UNLABELLED):
        return []
    return [
        f"{AGREEMENT} compares agreement with accuracy on labelled images of the base task; give them by --base DIR."
    ]
