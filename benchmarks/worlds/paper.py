"""Scale paper: pinned timm tags and the official data sets of the catalogue."""

from dataclasses import replace

from benchmarks.data.catalogue import data_set
from benchmarks.data.catalogue.check import DATA_ROOT, what_is_missing
from benchmarks.data.catalogue.look_alikes import check_weights, declared_at
from benchmarks.data.groups import grouped, members
from benchmarks.nets.base_check import BASE_TOP1
from benchmarks.nets.base_transforms import BASE_TRANSFORMS, BaseTransform
from benchmarks.records.names import PAPER_BASE
from benchmarks.worlds.options import Options
from benchmarks.worlds.recipes import paper_recipes
from benchmarks.worlds.world import TaskSet, World, chosen, env_of
from delta_core.training.errors import UserError

PAPER_WEIGHTS = {
    "resnet18": "timm:resnet18.tv_in1k",
    "resnet34": "timm:resnet34.bt_in1k",
    "resnet50": "timm:resnet50.a1_in1k",
    "resnet101": "timm:resnet101.a1h_in1k",
    "convnext_tiny": "timm:convnext_tiny.fb_in1k",
    "convnext_small": "timm:convnext_small.fb_in1k",
    "convnext_base": "timm:convnext_base.fb_in1k",
    "convnext_large": "timm:convnext_large.fb_in1k",
    "resnext50_32x4d": "timm:resnext50_32x4d.a1h_in1k",
    "wide_resnet50_2": "timm:wide_resnet50_2.racm_in1k",
}
"""timm tags whose ImageNet top-1 fits Table 10's base accuracies; timm's defaults have changed since. The last two are
the defaults of timm 0.6.12, which the others are from (Table 8 prints no base accuracy)."""


def paper_world(options: Options, task_set: TaskSet) -> World:
    """The world of the paper for a table with these tasks; data sets that are missing block their runs."""
    if any(given is not None for given in (options.weights, options.base, options.base_images)):
        raise UserError(
            "--scale paper pins its weights and base data; --weights, --base and --base-images belong to --scale local."
        )
    architectures = chosen("--arch", options.arch, tuple(PAPER_WEIGHTS))
    tasks = chosen("--task", options.task, task_set.paper)
    parts = dict.fromkeys(part for task in tasks for part in members(task))
    data_root = options.data_root or DATA_ROOT
    check_weights(options.weights_root, data_root)
    entries = {name: declared_at(data_set(name), data_root) for name in (*parts, PAPER_BASE)}
    blocked = what_is_missing(entries.values(), data_root)
    return World(
        scale="paper",
        weights={name: PAPER_WEIGHTS[name] for name in architectures},
        tasks={task: grouped([entries[part].identity for part in members(task)]) for task in tasks},
        base_task=PAPER_BASE,
        base_data=entries[PAPER_BASE].identity,
        base_transforms=dict(_accepted(text) for text in options.accept_base),
        image_size=options.image_size or 224,
        recipes=paper_recipes(options),
        env=replace(env_of(options, {}), data_root=data_root.absolute()),
        options=options,
        blocked=blocked | _without_the_base(options, blocked),
    )


def _accepted(text: str) -> tuple[str, BaseTransform]:
    """Weights and transform of `--accept-base TAG=TRANSFORM`."""
    tag, _, name = text.partition("=")
    tags = [weights.removeprefix("timm:") for weights in BASE_TOP1]
    for transform in BASE_TRANSFORMS:
        if transform == name and tag in tags:
            return f"timm:{tag}", transform
    raise UserError(
        f"--accept-base {text} is not TAG=TRANSFORM; tags are {', '.join(tags)}; transforms are "
        f"{', '.join(BASE_TRANSFORMS)}."
    )


def _without_the_base(options: Options, missing: dict[str, str]) -> dict[str, str]:
    """Why runs that measure the base cannot run, if they cannot."""
    if options.without_base:
        return {PAPER_BASE: f"the method chooses by base accuracy; give {PAPER_BASE} and leave --without-base out"}
    if PAPER_BASE in missing:
        images = data_set(PAPER_BASE).counts["val"]
        ways = f"{images:,} validation images, no training image; for all but PAINT --without-base does instead"
        return {PAPER_BASE: f"{missing[PAPER_BASE]} ({ways})"}
    return {}
