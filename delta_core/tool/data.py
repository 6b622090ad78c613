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
    class_indices,
    folder_identity,
    has_splits,
    held_out,
    load_image_folder,
)
from delta_core.training.data.image_files import ClassFolders, class_folders
from delta_core.training.data.labelled import split_folder
from delta_core.training.data.splits import LazySplit, Split, TaskData, in_memory_if_small, seen_in_views
from delta_core.training.errors import UserError
from delta_core.training.identity import derive_seed
from delta_core.weights import Preprocessing

HELD_OUT = 0.2
"""Share of each class that is held out of a folder without splits."""


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
    if has_splits(root):
        check_image_folder(root)
    else:
        check_classes(root)


def load_photos(root: Path, preprocessing: Preprocessing, *, views: int = 1, choosing: bool = False) -> Photos:
    """Open the images of a folder.

    Args:
        root: the folder.
        preprocessing: resize, crop and normalisation.
        views: of each training image, as `Recipe.views`; of all others there is one.
        choosing: whether something is chosen on validation images, which must then be others than those that accuracy
            is measured on.

    Raises:
        UserError: if the layout is wrong or an image cannot be read.
    """
    check_photos(root)
    name = root.resolve().name
    if has_splits(root):
        task = load_image_folder(name, root, preprocessing, views=views)
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
    val, others = held, ""
    if choosing:
        labels = torch.tensor(images.targets)[kept]
        rest, chosen = held_out(labels, seed=derive_seed("val", sha))
        if not len(chosen):
            raise UserError(f"{root} has two images of each class at most; early stopping needs a third to choose on.")
        kept, val = kept[rest], kept[chosen]
        others = f" When to stop is chosen on {len(val)} others."
    return Photos(
        class_names=tuple(images.classes),
        task=TaskData(
            name=name,
            classes=len(images.classes),
            sha=sha,
            train=seen_in_views(
                _lazy(images, kept, preprocessing), views, task=name, keep=lambda view: in_memory_if_small(view, views)
            ),
            val=in_memory_if_small(_lazy(images, val, preprocessing)),
            test=in_memory_if_small(_lazy(images, held, preprocessing)),
        ),
        splits=f"There is no train/ and test/ inside, so {len(held)} of {len(images)} images are held out, some of "
        f"each class; accuracy is measured on them and nothing is chosen on them.{others}",
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
    folder = split_folder(root, "test")
    indices = class_indices(folder, check_classes(folder), class_names)
    images = ClassFolders(folder)
    if folder == root and folder_identity(root) == trained_on:
        index, which = _held_out(images, trained_on)[1], f"images of {root} that were held out in training"
    else:
        index, which = torch.arange(len(images)), f"images of {folder}"
    return in_memory_if_small(_lazy(images, index, preprocessing, classes=indices)), which


def _held_out(images: ClassFolders, sha: str) -> tuple[Tensor, Tensor]:
    """Indices to train on and to hold out: the same whenever the folder is the same."""
    return held_out(torch.tensor(images.targets), seed=derive_seed("held out", sha), fraction=HELD_OUT)


def _lazy(
    images: ClassFolders, index: Tensor, preprocessing: Preprocessing, *, classes: Sequence[int] | None = None
) -> LazySplit:
    """A part of a folder; `classes` maps the folder's class indices to those of a patch."""
    labels = torch.tensor(images.targets)[index]
    return LazySplit(
        images=Subset(images, index.tolist()),
        labels=labels if classes is None else torch.tensor(classes)[labels],
        transform=preprocessing.resize_and_crop(),
        preprocessing=preprocessing,
    )
