"""Scale embedded: slim nets pre-trained by the suite, data drawn or carried by pip packages."""

from benchmarks.data.embedded import BASE_TASK, CLASS_NAMES, data_version
from benchmarks.data.groups import check_group, grouped, members
from benchmarks.nets.pretraining import BaseSpec
from benchmarks.nets.slim import SLIM
from benchmarks.records.names import DECATHLON_TASKS
from benchmarks.worlds.options import Options
from benchmarks.worlds.recipes import asked, recipes_of
from benchmarks.worlds.world import TaskSet, World, chosen, env_of, refuse
from delta_core.training.recipe import Recipe


def embedded_world(options: Options, task_set: TaskSet) -> World:
    """The world of slim nets for a table with these tasks."""
    brought = ("weights", "weights_root", "data_root", "base", "base_images", "image_size")
    refuse(options, brought, "contradicts --scale embedded, which brings its own; use --scale local.")
    architectures = chosen("--arch", options.arch, tuple(SLIM))
    if task_set.grouping == "single":
        tasks = chosen("--task", options.task, task_set.embedded)
    else:
        tasks = options.task or task_set.embedded
        chosen("--task", tuple(part for task in tasks for part in members(task)), DECATHLON_TASKS)
        for task in tasks:
            check_group(task, task_set.grouping, lambda part: CLASS_NAMES[part])
    bases = {name: embedded_base(name) for name in architectures}
    return World(
        scale="embedded",
        weights={name: base.weights for name, base in bases.items()},
        tasks={task: grouped([f"v{data_version(part)}" for part in members(task)]) for task in tasks},
        base_task=BASE_TASK,
        base_data=f"v{data_version(BASE_TASK)}",
        image_size=32,
        recipes=recipes_of(**asked(options, epochs=6, views=1), batch_size=64, weight_decay=0.01),
        env=env_of(options, {}),
        options=options,
        bases=tuple(
            bases[name] for name in reversed(architectures)
        ),  # the slow ones first: none waits alone at the end
    )


def embedded_base(architecture: str) -> BaseSpec:
    """Pre-training of a slim net of the embedded scale."""
    return BaseSpec(architecture=architecture, recipe=_pretraining(architecture))


def _pretraining(architecture: str) -> Recipe:
    """Recipe of an embedded base. Validation top-1 of ConvNeXt: 73.2 at 1e-3, 78.1 at 2e-3."""
    if architecture.startswith("convnext"):
        return Recipe(epochs=6, lr=2e-3, head_lr=2e-3, batch_size=64, weight_decay=0.05, views=1)
    return Recipe(epochs=6, lr=3e-3, head_lr=3e-3, batch_size=128, weight_decay=0.05, views=1)
