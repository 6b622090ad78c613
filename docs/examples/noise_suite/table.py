"""Runs of the noise suite: FC-only and Delta (4) at three levels of noise."""

from benchmarks.suites.noise.spec import NoiseSpec

from benchmarks.methods.delta import DeltaNetworks
from benchmarks.methods.fc_only import FcOnly
from benchmarks.records.names import MAPS, PATCH_TASKS
from benchmarks.suites.base import Table
from benchmarks.worlds.world import TaskSet, World
from delta_core import DeltaConfig

NOISE_SDS = (0.0, 0.25, 0.5)


def noise(world: World, seeds: int) -> list[NoiseSpec]:
    """Every net, task, noise, method and seed."""
    methods = (
        FcOnly(recipe=world.recipes.head),
        DeltaNetworks(recipe=world.recipes.delta[MAPS], config=DeltaConfig(), reading=MAPS),
    )
    return [
        NoiseSpec(
            scale=world.scale,
            architecture=architecture,
            weights=weights,
            task=task,
            data=data,
            noise_sd=noise_sd,
            method=method,
            image_size=world.image_size,
            seed=seed,
        )
        for architecture, weights in world.weights.items()
        for task, data in world.tasks.items()
        for noise_sd in NOISE_SDS
        for method in methods
        for seed in range(seeds)
    ]


TABLES = {"noise": Table(runs=noise, tasks=TaskSet(embedded=PATCH_TASKS, paper=("stl10", "flowers")))}
