"""COCO's layout: `annotations/*.json` and folders of images, for boxes and, from their outlines, for masks.

    annotations/instances_train*.json  images in train*/
    annotations/instances_val*.json    images in val*/, or test likewise: what is scored

Exports of labelling tools that keep one JSON file in each folder of images (`train/_annotations.coco.json`) are read
as well.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.suites.dense.folders.described import DenseData, DenseSplit, Kind, same_classes, size_of
from delta_core.training.errors import UserError

SCORED = ("test", "val", "valid")
"""Names of the split that is scored, in the order in which they are looked for."""


@dataclass(frozen=True, kw_only=True)
class CocoSplit:
    """One JSON file, as far as it is needed here."""

    split: DenseSplit
    images: list[Path]
    classes: dict[str, int]
    """Name -> category id, of classes that have objects."""


def is_coco(root: Path) -> bool:
    """Whether a folder has COCO's files."""
    return next(_files(root, "train"), None) is not None


def coco_data(root: Path, kind: Kind, classes: tuple[str, ...] | None = None) -> DenseData:
    """Boxes or masks in COCO's layout; classes are those that have objects, in the order of their category ids.

    Raises:
        UserError: naming what is missing or cannot be read.
    """
    train = _read(root, ("train",))
    test = _read(root, SCORED)
    if classes is None:
        same_classes(root, set(train.classes), set(test.classes))
        classes = tuple(sorted(train.classes, key=train.classes.__getitem__))
    elif unknown := next((name for name in classes if name not in train.classes), None):
        raise UserError(f"classes has {unknown!r}; {str(root)!r} has {', '.join(sorted(train.classes))}.")
    return DenseData(
        root=root,
        format="coco",
        train=(train.split,),
        test=test.split,
        train_images=len(train.images),
        classes=classes,
        has_ground=kind == "segmentation",
        image_size=size_of(test.images),
    )


def _files(root: Path, name: str) -> Iterator[tuple[Path, Path]]:
    """JSON files of a split with the folder of its images, the likeliest first."""
    for json_file in sorted((root / "annotations").glob(f"*{name}*.json")):
        for folder in (root / json_file.stem.removeprefix("instances_"), root / name, root / "images"):
            if folder.is_dir():
                yield json_file, folder
    own = root / name / "_annotations.coco.json"
    if own.is_file():
        yield own, own.parent


def _read(root: Path, names: tuple[str, ...]) -> CocoSplit:
    found = next((pair for name in names for pair in _files(root, name)), None)
    if found is None:
        raise UserError(
            f"{str(root)!r} has no annotations/instances_{names[0]}*.json beside a folder of its images; name a folder "
            "in COCO's layout."
        )
    path, folder = found
    try:
        content: dict[str, Any] = json.loads(path.read_text("utf-8"))
        images = [folder / entry["file_name"] for entry in content["images"]]
        ids = {entry["id"]: str(entry["name"]).strip() for entry in content["categories"]}
        used = {annotation["category_id"] for annotation in content["annotations"]}
        classes = {ids[number]: number for number in sorted(used)}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{str(path)!r} is not a file of COCO's ({type(error).__name__}: {error}).") from error
    if not images or not classes:
        raise UserError(f"{str(path)!r} has {len(images)} images and {len(classes)} classes with objects; add some.")
    if "" in classes:
        raise UserError(f"{str(path)!r} has a category without name; give it one.")
    if missing := next((image for image in images if not image.is_file()), None):
        raise UserError(f"{str(path)!r} names {missing.name!r}, which is not in {str(folder)!r}; put it there.")
    split = DenseSplit(images=str(folder.relative_to(root)), annotations=str(path.relative_to(root)))
    return CocoSplit(split=split, images=images, classes=classes)
