"""What makes it work, as functions from a world to runs: Table 8, our own ablations, the figures."""

from collections.abc import Iterable
from dataclasses import replace

from benchmarks.methods.base import Method
from benchmarks.methods.fc_only import FcOnly
from benchmarks.methods.readings import READINGS
from benchmarks.methods.skips import DeltaArm, DeltaGates, table8_policies
from benchmarks.records import names
from benchmarks.records.rows import WITH_NETS_OF_THE_PAPER
from benchmarks.suites.patching.spec import RunSpec, run_of
from benchmarks.worlds.world import TaskSet, World
from delta_core import DeltaConfig

TABLE8_ARCHITECTURES = ("resnet18", "resnet34", "resnext50_32x4d", "wide_resnet50_2", *names.REAL_ARCHITECTURES)
TABLE8_TASKS = TaskSet(
    embedded=names.TABLE8_TASKS, paper=("aircraft", "cars"), real=("real:solar_cells", "real:photos")
)
FIGURE_TASKS = TaskSet(
    embedded=("signs", "photos", "textures"),
    paper=("aircraft", "cars", "flowers"),
    real=("real:solar_cells", "real:photos", "real:mnist5k"),
)
"""Figures 4 to 6 show all three, Figure 3 the first two."""


def table8(world: World, seeds: int) -> list[RunSpec]:
    """Table 8: from a new head to Delta (4), by way of every lesser use of the skips."""
    recipes = world.recipes
    methods: list[Method] = [
        FcOnly(recipe=recipes.head),
        *table8_policies(recipes.delta[names.GATES_ALONE]),
        *_deltas(world),
    ]
    return _runs(world, names.TABLE8, world.among(TABLE8_ARCHITECTURES), world.tasks, methods, seeds)


def figures(world: World, seeds: int) -> list[RunSpec]:
    """Gates behind Figures 3 to 6: Delta (4) of Table 8 on ResNeXt-50 and ResNet-18, and one more task.

    Of the paper's reading, whose gates range from 0 to 1 as its figures show them, and of the default. At scale real on
    its first net alone, at scale local on the user's.
    """
    return _gates_of(world, (names.LITERAL, names.MAPS), seeds)


def more_for_figures(world: World, seeds: int) -> list[RunSpec]:
    """What joins the figures' runs when it is named: gates alone, which no figure shows."""
    return _gates_of(world, (names.GATES_ALONE,), seeds)


def _gates_of(world: World, readings: tuple[str, ...], seeds: int) -> list[RunSpec]:
    tasks = list(world.tasks)
    shown = (
        {"resnext50_32x4d": tasks[:2], "resnet18": tasks}
        if world.scale in WITH_NETS_OF_THE_PAPER
        else dict.fromkeys(world.among(names.REAL_ARCHITECTURES[:1]), tasks)
    )
    deltas = [each for each in _deltas(world) if each.reading in readings]
    return [
        run
        for architecture in world.among(shown)
        for run in _runs(world, names.TABLE8, [architecture], shown[architecture], deltas, seeds)
    ]


def ablation(world: World, seeds: int) -> list[RunSpec]:
    """Our own ablations on the first net of Table 8: every arm departs from Delta (4) in what its name says.

    Once from Delta (4) with gates alone, once from the default.
    """
    architecture = next(iter(world.among(TABLE8_ARCHITECTURES)))
    recipes = world.recipes
    gates, maps = recipes.delta[names.GATES_ALONE], recipes.delta[names.MAPS]
    methods = [
        FcOnly(recipe=recipes.head),
        *(DeltaArm(recipe=gates, config=config, reading=name) for name, config in ablation_arms().items()),
        *(DeltaArm(recipe=maps, config=config, reading=name) for name, config in map_arms().items()),
    ]
    return _runs(world, names.ABLATION, [architecture], world.tasks, methods, seeds)


def ablation_arms() -> dict[str, DeltaConfig]:
    """Arms of Delta (4) with gates alone by name; the first is what all others depart from."""
    default = DeltaConfig.gates_alone()
    return {
        "default": default,
        **{f"modules: last {n}": replace(default, n_modules=n) for n in (1, 2, 3)},
        **{f"modules: block {4 - n} alone": replace(default, n_modules=1, blocks_after=n) for n in (1, 2, 3)},
        "skips: new alone": replace(default, skips="new"),
        "gates: per channel": replace(default, gate_per="channel"),
        "gates start: identity": replace(default, gate_start="identity"),
        "BN: none": replace(default, norm_place="none", norm_start="fresh"),
        "BN: on skip sum": replace(default, norm_place="skip_sum"),
        "BN: fresh": replace(default, norm_start="fresh"),
        "module input: stride 2": replace(default, module_input="stride2"),
        "module input: full": replace(default, module_input="full"),
        "module reads: image, full": replace(default, module_reads="image", module_input="full"),
        "module width: C/4": replace(default, reduction=4),
        "module width: C/8": replace(default, reduction=8),
    }


def map_arms() -> dict[str, DeltaConfig]:
    """Arms of the default Delta (4) by name; the first is what all others depart from."""
    default = DeltaConfig()
    rank = default.skip_map_rank
    return {
        f"map: rank {rank}": default,
        **{f"map: rank {r}": replace(default, skip_map_rank=r) for r in (4, 8, 32)},
        "map: per channel": replace(default, skip_map="channel"),
        "map: depthwise": replace(default, skip_map="depthwise"),
        "map: none": replace(default, skip_map="identity"),
        f"map: rank {rank} for each skip": replace(default, skip_map_per="skip"),
        **{f"modules with map: last {n}": replace(default, n_modules=n) for n in (1, 2, 3)},
        "gates with map: from 0 to 1": replace(default, gate_range="unit", gate_start="half"),
        "gates with map: per channel": replace(default, gate_per="channel"),
        "gates with map: learnable": replace(default, gating="learnable"),
        "module with map: C/4": replace(default, reduction=4),
        "module with map: 3 x 3": replace(default, module_kernel=3),
        "BN with map: none": replace(default, norm_place="none", norm_start="fresh"),
        "BN with map: fresh": replace(default, norm_start="fresh"),
    }


def _deltas(world: World) -> list[DeltaGates]:
    return [
        DeltaGates(recipe=world.recipes.delta[reading], config=config(), reading=reading)
        for reading, config in READINGS.items()
    ]


def _runs(
    world: World,
    suite: str,
    architectures: Iterable[str],
    tasks: Iterable[str],
    methods: Iterable[Method],
    seeds: int,
) -> list[RunSpec]:
    methods = list(methods)
    return [
        run_of(world, suite=suite, architecture=architecture, task=task, method=method, seed=seed)
        for seed in range(seeds)
        for architecture in architectures
        for task in tasks
        for method in methods
    ]
