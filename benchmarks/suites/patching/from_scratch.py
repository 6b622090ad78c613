"""Tables 12 and 13 as functions from a world to runs: nets from scratch, as they are and with Delta-modules.

The paper gives no recipe. At scale paper each task is trained as the code that is usually cited for its like does; the
paper's only numbers of epochs, 50 and four times that, stand in for theirs.
"""

from collections.abc import Iterable
from dataclasses import replace

from benchmarks.data.augmentation import Augmentation
from benchmarks.methods.base import Method
from benchmarks.methods.scratch import Scratch, ScratchDelta
from benchmarks.records import names
from benchmarks.suites.patching.ablations import TABLE8_TASKS
from benchmarks.suites.patching.spec import RunSpec, run_of
from benchmarks.worlds.world import TaskSet, World
from delta_core import DeltaConfig
from delta_core.training.recipe import Recipe

TABLE12_TASKS = replace(TABLE8_TASKS, real=())
TABLE13_TASKS = TaskSet(embedded=("textures", "shapes", "glyphs62"), paper=("cifar10", "cifar100", "imagenet"))
"""The last one plays ImageNet: it is the base task, measured in top-5 and on the smaller net alone."""

SCRATCH_ARCHITECTURES = ("resnet18", "resnet34")
SCRATCH_EPOCHS_FACTOR = 4
"""Epochs from scratch over those of patching: 200 at scale paper; the large task of Table 13 takes the usual 50."""

SMALL_IMAGES = ("cifar10", "cifar100")
SMALL_PX = 32
"""Their own size; enlarged to 224 they would cost 49 times as much."""


def table12(world: World, seeds: int) -> list[RunSpec]:
    """Table 12: fine-grained tasks from scratch."""
    return _from_scratch(world, names.TABLE12, SCRATCH_ARCHITECTURES, world.tasks, seeds, SCRATCH_EPOCHS_FACTOR)


def table13(world: World, seeds: int) -> list[RunSpec]:
    """Table 13: common tasks from scratch; the large one on ResNet-18 alone, as in the paper."""
    large = TABLE13_TASKS.paper[-1] if world.scale == "paper" else TABLE13_TASKS.embedded[-1]
    small = [task for task in world.tasks if task != large]
    runs = _from_scratch(world, names.TABLE13, SCRATCH_ARCHITECTURES, small, seeds, SCRATCH_EPOCHS_FACTOR)
    if large not in world.tasks:
        return runs
    return runs + _from_scratch(world, names.TABLE13, SCRATCH_ARCHITECTURES[:1], [large], seeds, 1)


def _from_scratch(
    world: World, suite: str, architectures: Iterable[str], tasks: Iterable[str], seeds: int, epochs_factor: int
) -> list[RunSpec]:
    return [
        run_of(
            _at_its_size(world, task),
            suite=suite,
            architecture=architecture,
            task=task,
            method=method,
            seed=seed,
            scratch=True,
        )
        for seed in range(seeds)
        for architecture in world.among(architectures)
        for task in tasks
        for method in _both_ways(world, task, epochs_factor)
    ]


def _at_its_size(world: World, task: str) -> World:
    own_size = world.scale == "paper" and task in SMALL_IMAGES and world.options.image_size is None
    return replace(world, image_size=SMALL_PX) if own_size else world


def _both_ways(world: World, task: str, epochs_factor: int) -> list[Method]:
    recipe = scratch_recipe(world.recipes.head, epochs_factor)
    augmentation: Augmentation | None = None
    if world.scale == "paper":
        small = task in SMALL_IMAGES
        recipe = small_images_recipe(recipe) if small else photographs_recipe(recipe)
        if recipe.views == 0:  # who asks for fixed views gets them
            augmentation = "pad_crop_flip" if small else "resized_crop_flip"
    return [
        Scratch(recipe=recipe, augmentation=augmentation),
        ScratchDelta(recipe=recipe, augmentation=augmentation, config=DeltaConfig.paper()),
    ]


def scratch_recipe(patching: Recipe, epochs_factor: int) -> Recipe:
    """SGD at 0.1 with cosine and weight decay 5e-4, for drawn images and a user's own.

    What else it has is from the scale's patching: batch size, warm-up, clipped gradients.
    """
    return replace(
        patching,
        epochs=epochs_factor * patching.epochs,
        optimizer="sgd",
        lr=0.1,
        head_lr=0.1,
        weight_decay=5e-4,
        feature_dtype="float32",
    )


def small_images_recipe(scratch: Recipe) -> Recipe:
    """CIFAR at 32 px, as in kuangliu/pytorch-cifar (main.py): SGD at 0.1, momentum 0.9, cosine, batches of 128.

    Weight decay 5e-4 on everything, no warm-up, no clipping. Its 200 epochs are ours.
    """
    return replace(scratch, decay_all=True, warmup_steps=0, clip_norm=None, batch_size=128)


def photographs_recipe(scratch: Recipe) -> Recipe:
    """Photographs at 224 px, as in pytorch/examples (imagenet/main.py): SGD at 0.1, momentum 0.9, batches of 256.

    Weight decay 1e-4 on everything, a tenth of the rate after each third, no warm-up, no clipping. Its 90 epochs are 50
    for ImageNet and 200 for fine-grained tasks here.
    """
    return replace(
        scratch,
        weight_decay=1e-4,
        decay_all=True,
        milestones=(1 / 3, 2 / 3),
        warmup_steps=0,
        clip_norm=None,
        batch_size=256,
    )
