"""Table 5 as a function from a world to runs."""

from dataclasses import dataclass, replace

from benchmarks.data.embedded import FINE_GRAINED_TASKS
from benchmarks.methods.readings import READINGS
from benchmarks.records.names import GATES_ALONE, PERCENTS, REAL_ARCHITECTURES
from benchmarks.records.rows import Scale
from benchmarks.suites.base import Table
from benchmarks.suites.transfer.methods.base import Transfer
from benchmarks.suites.transfer.methods.bi_tuning import BiTuning, BiTuningDelta
from benchmarks.suites.transfer.methods.bss import Bss
from benchmarks.suites.transfer.methods.co_tuning import CoTuning
from benchmarks.suites.transfer.methods.delta_regularizer import DeltaRegularizer
from benchmarks.suites.transfer.methods.lwf import Lwf
from benchmarks.suites.transfer.methods.stochnorm import StochNorm
from benchmarks.suites.transfer.methods.vanilla import Vanilla, VanillaDelta
from benchmarks.suites.transfer.spec import TransferSpec
from benchmarks.worlds.recipes import cut_to
from benchmarks.worlds.world import TaskSet, World, refuse
from delta_core.training.errors import UserError
from delta_core.training.recipe import Recipe

ARCHITECTURE = "resnet50"
PAPER_WEIGHTS = "timm:resnet50.tv_in1k"
"""torchvision's first weights, as thuml/Transfer-Learning-Library takes them; Table 2 stands on others."""
TRANSFER_TASKS = TaskSet(
    embedded=FINE_GRAINED_TASKS, paper=("aircraft", "cars"), real=("real:solar_cells_grade", "real:photos")
)
MODULES = 4

SCRIPTS = Recipe(
    epochs=20,
    steps_per_epoch=500,
    lr=1e-3,
    head_lr=1e-2,
    batch_size=48,
    weight_decay=5e-4,
    decay_all=True,
    warmup_steps=0,
    clip_norm=None,
    optimizer="sgd",
    nesterov=True,
    milestones=(0.6,),
    views=0,
)
"""Recipe of thuml/Transfer-Learning-Library's scripts (image_classification/*.sh): the same for every rate."""

DELTA_TRADE_OFF = 0.01
"""DELTA's, at the scripts' rate (delta.sh). The small scales divide it by how much faster they learn, so that the pull
of a step stays the scripts': it is a sum over batch and channels, too stiff for more. tf_efficientnet_lite0 at ten
times the rate and this trade-off has a loss of 20 in the first step and of 5,071 in the fifth."""


@dataclass(frozen=True, kw_only=True)
class TransferSchedule:
    """What differs between the scales."""

    recipe: Recipe
    attention_recipe: Recipe
    """Of the net on which DELTA measures its attention."""
    attention_batches: int
    min_crop_area: float
    with_val: bool


# Rates of the small scales were chosen by validation top-1 (seed 0, all training data), by the head's rate. Embedded,
# Vanilla: planes 47.1 at 0.03 and 57.1 at 0.1, autos 72.9 and 84.2; shorter schedules leave the rates of data no room
# to matter. Local, tf_efficientnet_lite0 at 128 px, Vanilla on flowers17: 91.2 at both, 41.2 at 0.3 after a fifth of
# the epochs; on dtd10 after 60 steps: Vanilla 70.0 at 0.03 and 67.5 at 0.1, Bi-Tuning 82.5 and 67.5, Delta (4) 80.0 and
# 75.0, both 67.5 and 52.5.
_PACKAGED_NETS = TransferSchedule(
    recipe=replace(SCRIPTS, epochs=10, steps_per_epoch=10, batch_size=24, lr=3e-3, head_lr=3e-2),
    attention_recipe=replace(SCRIPTS, epochs=1, steps_per_epoch=10, batch_size=24, lr=3e-3, head_lr=3e-2),
    attention_batches=1,
    min_crop_area=0.2,
    with_val=False,
)
SCHEDULES: dict[Scale, TransferSchedule] = {
    "real": _PACKAGED_NETS,
    "embedded": TransferSchedule(
        recipe=replace(SCRIPTS, epochs=10, steps_per_epoch=60, batch_size=32, lr=1e-2, head_lr=1e-1),
        attention_recipe=replace(SCRIPTS, epochs=2, steps_per_epoch=60, batch_size=32, lr=1e-2, head_lr=1e-1),
        attention_batches=1,
        min_crop_area=0.6,  # at 32 pixels a fifth of the image shows too little of the detail that tells classes apart
        with_val=False,
    ),
    "local": _PACKAGED_NETS,
    "paper": TransferSchedule(
        recipe=SCRIPTS,
        attention_recipe=replace(SCRIPTS, epochs=10, steps_per_epoch=None, batch_size=32),
        attention_batches=10,
        min_crop_area=0.2,
        with_val=True,
    ),
}


def table5(world: World, seeds: int) -> list[TransferSpec]:
    """Table 5, transfer learning: nine methods on two fine-grained tasks at four shares of the training images.

    Seeds come first: a part is a whole repetition.

    Raises:
        UserError: for a rate, views or parts of batches that the table does not have.
    """
    options, schedule = world.options, SCHEDULES[world.scale]
    if options.views:
        raise UserError(f"--views is {options.views}, but Table 5 trains on a fresh view in every step; leave it out.")
    refuse(options, ("micro_batch",), "has no meaning for Table 5, whose losses compare images of a batch; leave it.")
    for percent in options.train_percent:
        if percent not in PERCENTS:
            raise UserError(f"--train-percent {percent} has no list; choose from {', '.join(map(str, PERCENTS))}.")
    if options.epochs:
        schedule = replace(schedule, recipe=replace(schedule.recipe, epochs=options.epochs))
    if options.steps:
        schedule = cut_to(options.steps, schedule)
    methods = transfer_methods(schedule) + (article_arms(schedule) if world.scale == "paper" else [])
    names = world.among((ARCHITECTURE, REAL_ARCHITECTURES[0])) or world.weights
    return [
        TransferSpec(
            scale=world.scale,
            architecture=name,
            weights=PAPER_WEIGHTS if world.scale == "paper" and name == ARCHITECTURE else world.weights[name],
            task=task,
            data=data,
            train_percent=percent,
            with_val=schedule.with_val,
            min_crop_area=schedule.min_crop_area,
            method=method,
            image_size=world.image_size,
            seed=seed,
        )
        for seed in range(seeds)
        for name in names
        for task, data in world.tasks.items()
        for percent in PERCENTS
        if percent in (options.train_percent or PERCENTS)
        for method in methods
    ]


def transfer_methods(schedule: TransferSchedule) -> list[Transfer]:
    """The nine rows of the table, in its order; those with Delta in every reading."""
    recipe = schedule.recipe
    # Rows of gates alone were recorded when that was the only reading, and have no arm.
    deltas = {
        "" if reading == GATES_ALONE else reading: config(n_modules=MODULES) for reading, config in READINGS.items()
    }
    return [
        Vanilla(recipe=recipe),
        Lwf(recipe=recipe),
        Bss(recipe=recipe),
        DeltaRegularizer(
            recipe=replace(recipe, weight_decay=0.0),
            trade_off=DELTA_TRADE_OFF * SCRIPTS.lr / recipe.lr,
            attention_recipe=replace(schedule.attention_recipe, weight_decay=0.0),
            attention_batches=schedule.attention_batches,
        ),
        CoTuning(recipe=recipe),
        StochNorm(recipe=recipe),
        BiTuning(recipe=recipe),
        *(VanillaDelta(recipe=recipe, config=config, arm=arm) for arm, config in deltas.items()),
        *(BiTuningDelta(recipe=recipe, config=config, arm=arm) for arm, config in deltas.items()),
    ]


def article_arms(schedule: TransferSchedule) -> list[Transfer]:
    """What the scripts do otherwise on one data set, or the articles otherwise than the scripts."""
    slower = replace(schedule.recipe, lr=schedule.recipe.lr / 10, head_lr=schedule.recipe.head_lr / 10)
    return [
        Lwf(recipe=slower, arm=f"lr={slower.head_lr:g}"),  # lwf.sh, Aircraft
        CoTuning(recipe=schedule.recipe, relationship="calibrated", arm="calibrated"),
    ]


TABLES = {"table5": Table(runs=table5, tasks=TRANSFER_TASKS, shares_devices=False)}
