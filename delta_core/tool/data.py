"""A person's image folder: with splits of its own, or one folder per class from which some images are held out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import Subset

from delta_core.training.data.folders import (
    check_classes,
    check_image_folder,
    folder_identity,
    held_out,
    in_memory_if_small,
    load_image_folder,
)
from delta_core.training.data.image_files import ClassFolders, class_folders
from delta_core.training.data.splits import LazySplit, Split, TaskData
from delta_core.training.errors import UserError
from delta_core.training.identity import derive_seed
from delta_core.weights import Preprocessing

HELD_OUT = 0.2
"""Share of each class that is held out of a folder without splits."""

SPLITS = ("train", "val", "test")


@dataclass(frozen=True, kw_only=True)
class Photos:
    """A task with the names of its classes."""

    class_names: tuple[str, ...]
    task: TaskData
    splits: str
    """One sentence: where the images that accuracy is measured on come from."""


def check_photos(root: Path) -> None:
    """Raise UserError unless the folder has one of the two layouts, with at least two classes and images in each."""
    if not root.is_dir():
        raise UserError(
            f"Image folder {str(root)!r} does not exist; give a folder with one folder of images per class."
        )
    if _has_splits(root):
        check_image_folder(root)
    else:
        check_classes(root)


def load_photos(root: Path, preprocessing: Preprocessing) -> Photos:
    """Open the images of a folder as one fixed view each.

    Raises:
        UserError: if the layout is wrong or an image cannot be read.
    """
    check_photos(root)
    name = root.resolve().name
    if _has_splits(root):
        task = load_image_folder(name, root, preprocessing, views=1)
        measured = "test" if (root / "test").is_dir() else "val"
        drawn = "" if (root / "val").is_dir() and measured == "test" else ", which are held out of train/"
        return Photos(
            class_names=tuple(class_folders(root / "train")),
            task=task,
            splits=f"Accuracy is measured on the {len(task.test.labels)} images of {measured}/; it is followed during "
            f"training on {len(task.val.labels)} others{drawn}.",
        )
    images = ClassFolders(root)
    sha = folder_identity(root)
    kept, held = _held_out(images, sha)
    if not len(held):
        raise UserError(f"{root} has one image of each class; at least two are needed to hold one out.")
    test = _split(images, held, preprocessing)
    return Photos(
        class_names=tuple(images.classes),
        task=TaskData(
            name=name,
            classes=len(images.classes),
            sha=sha,
            train=_split(images, kept, preprocessing),
            val=test,
            test=test,
        ),
        splits=f"There is no train/ and test/ inside, so {len(held)} of {len(images)} images are held out, some of "
        "each class; accuracy is measured on them and nothing is chosen on them.",
    )


def load_evaluation(
    root: Path, class_names: Sequence[str], preprocessing: Preprocessing, *, trained_on: str
) -> tuple[Split, str]:
    """Images to measure a patch on, with labels as the patch counts its classes, and a few words on which they are.

    Args:
        root: folder with test/ or val/ inside, or with one folder per class.
        class_names: of the patch; the folder may lack some of them.
        preprocessing: of the patch.
        trained_on: `folder_identity` of the images that the patch was trained on; of that folder only the held-out
            images count.

    Raises:
        UserError: if the folder holds no images, or classes that the patch does not know.
    """
    if not root.is_dir():
        raise UserError(
            f"Image folder {str(root)!r} does not exist; give a folder with one folder of images per class."
        )
    part = next((part for part in ("test", "val") if (root / part).is_dir()), None) if _has_splits(root) else None
    folder = root / part if part else root
    strange = sorted(set(check_classes(folder)) - set(class_names))
    if strange:
        raise UserError(
            f"{folder} holds the class {strange[0]!r}, which the patch does not know; "
            f"it knows {', '.join(sorted(class_names)[:5])}{', ...' if len(class_names) > 5 else ''}."
        )
    images = ClassFolders(folder)
    if part is None and folder_identity(root) == trained_on:
        index, which = _held_out(images, trained_on)[1], f"images of {root} that were held out in training"
    else:
        index, which = torch.arange(len(images)), f"images of {folder}"
    indices = [class_names.index(name) for name in images.classes]
    return _split(images, index, preprocessing, classes=indices), which


def _check_exists(root: Path) -> None:
    if not root.is_dir():
        raise UserError(f"Image folder {str(root)!r} does not exist; give one that holds a folder of images per class.")


def _has_splits(root: Path) -> bool:
    """Whether the folders inside are splits, not classes: `train` may be one beside `bus` and `car`."""
    names = set(class_folders(root))
    return bool(names) and (names <= set(SPLITS) or ("train" in names and not names.isdisjoint({"test", "val"})))


def _held_out(images: ClassFolders, sha: str) -> tuple[Tensor, Tensor]:
    """Indices to train on and to hold out: the same whenever the folder is the same."""
    return held_out(torch.tensor(images.targets), seed=derive_seed("held out", sha), fraction=HELD_OUT)


def _split(
    images: ClassFolders, index: Tensor, preprocessing: Preprocessing, *, classes: Sequence[int] | None = None
) -> Split:
    """A part of a folder; `classes` maps the folder's class indices to those of a patch."""
    labels = torch.tensor(images.targets)[index]
    return in_memory_if_small(
        LazySplit(
            images=Subset(images, index.tolist()),
            labels=labels if classes is None else torch.tensor(classes)[labels],
            transform=preprocessing.resize_and_crop(),
            preprocessing=preprocessing,
        )
    )
