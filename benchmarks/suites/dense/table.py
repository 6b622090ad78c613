"""Table 7 as a function from a world to runs."""

from benchmarks.spec import Run
from benchmarks.suites.base import Table
from benchmarks.suites.dense.spec import CONFIGS, DenseRun, arms
from benchmarks.suites.dense.world import DENSE_TASKS, open_dense_world
from benchmarks.worlds.world import World


def table7(world: World, seeds: int) -> list[Run]:
    """Table 7: Faster R-CNN and DeepLabV3 on a frozen backbone, with and without Delta (4), and the stock reading."""
    return [
        DenseRun(
            scale=world.scale,
            architecture=architecture,
            weights=weights,
            task=task,
            data=data,
            method=arm,
            heads=world.options.heads or ("narrow" if world.scale == "embedded" else "stock"),
            epochs=world.options.epochs,
            seed=seed,
        )
        for task, data in world.tasks.items()
        for architecture, weights in world.weights.items()
        if (task.partition(":")[0], architecture) in CONFIGS
        for arm in arms(task.partition(":")[0], world.scale)
        for seed in range(seeds)
    ]


TABLES = {"table7": Table(runs=table7, tasks=DENSE_TASKS, open_world=open_dense_world)}
