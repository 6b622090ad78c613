"""A person's image folder: with splits of its own, or one folder per class from which some images are held out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from delta_core.tool.seen_images import SeenImage, content_of, seen_as, twins_in_training
from delta_core.training.data.folders import (
    FolderPart,
    check_classes,
    check_folder,
    check_image_folder,
    class_indices,
    folder_identity,
    has_splits,
    held_out,
    load_image_folder,
    open_parts,
)
from delta_core.training.data.image_files import ClassFolders, class_folders
from delta_core.training.data.labelled import split_folder
from delta_core.training.data.splits import LazySplit, Part, Split, TaskData, in_memory_if_small, seen_in_views
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
    """Sentences: where the images that accuracy is measured on come from, and what to know of them."""
    seen: tuple[SeenImage, ...]
    """Every image file, as what the training sees it."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Images to measure a patch on."""

    split: Split
    """With labels as the patch counts its classes."""
    which: str
    """They, in a few words."""
    notes: tuple[str, ...]
    """Sentences: what is left out of them, and what is not known."""


def check_photos(root: Path) -> None:
    """Raise UserError unless the folder has one of the two layouts, with at least two classes and images in each."""
    check_folder(root)
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
    if has_splits(root):
        return _with_splits(root, preprocessing, views)
    return _drawn(root, preprocessing, views, choosing)


def _with_splits(root: Path, preprocessing: Preprocessing, views: int) -> Photos:
    name = root.resolve().name
    task = load_image_folder(name, root, preprocessing, views=views)
    measured = "test" if (root / "test").is_dir() else "val"
    drawn = "" if (root / "val").is_dir() and measured == "test" else ", which are held out of train/"
    seen = _seen(open_parts(name, root), root)
    return Photos(
        class_names=tuple(class_folders(root / "train")),
        task=task,
        splits=f"Accuracy is measured on the {len(task.test.labels)} images of {measured}/; it is followed during "
        f"training on {len(task.val.labels)} others{drawn}.{_of_twins(seen)}",
        seen=seen,
    )


def _drawn(root: Path, preprocessing: Preprocessing, views: int, choosing: bool) -> Photos:
    images, name = ClassFolders(root), root.resolve().name
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
    places: dict[Part, Tensor] = {"train": kept, "test": held}
    if choosing:
        places["val"] = val
    parts = {part: FolderPart(folder=images, places=each) for part, each in places.items()}
    seen = _seen(parts, root)
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
        f"each class; accuracy is measured on them and nothing is chosen on them.{others}"
        f"{_of_single_images(images)}{_of_twins(seen)}",
        seen=seen,
    )


def load_evaluation(
    root: Path,
    class_names: Sequence[str],
    preprocessing: Preprocessing,
    *,
    seen: Sequence[SeenImage],
    trained_on: str,
) -> Measured:
    """Images to measure a patch on: of a folder those that its training has not seen.

    Args:
        root: folder with test/ or val/ inside, or with one folder per class.
        class_names: of the patch; the folder may lack some of them.
        preprocessing: of the patch.
        seen: what the training of the patch has seen, by content; empty where the patch does not say.
        trained_on: `folder_identity` of the images that the patch was trained on, which tells what was held out of
            them where the patch has no list.

    Raises:
        UserError: if the folder holds no images, classes that the patch does not know, or training images alone.
    """
    folder = split_folder(root, "test")
    indices = class_indices(folder, check_classes(folder), class_names)
    images = ClassFolders(folder)
    everything = torch.arange(len(images))
    notes: tuple[str, ...] = ()
    if seen:
        index, which, notes = _unseen(FolderPart(folder=images, places=everything), folder, seen)
    elif folder == root and folder_identity(root) == trained_on:
        index, which = _held_out(images, trained_on)[1], f"images of {root} that were held out in training"
    else:
        index, which = everything, f"images of {folder}"
        notes = ("The patch has no list of the images that it was trained on; some of these may be among them.",)
    split = in_memory_if_small(_lazy(images, index, preprocessing, classes=indices))
    return Measured(split=split, which=which, notes=notes)


def _unseen(part: FolderPart, folder: Path, seen: Sequence[SeenImage]) -> tuple[Tensor, str, tuple[str, ...]]:
    """Places of the images that may be counted, a few words on which they are, and sentences on those left out."""
    learnt = {image.content for image in seen if image.part != "test"}
    held = {image.content for image in seen if image.part == "test"} - learnt
    contents = [content_of(file) for file in part.files]
    counted = torch.tensor([place for place, content in enumerate(contents) if content not in learnt], dtype=torch.long)
    left_out, new = len(contents) - len(counted), sum(content not in learnt | held for content in contents)
    if not left_out:
        return counted, f"images of {folder}", ()
    if not len(counted):
        raise UserError(f"The patch was trained on every image of {folder}; give images that it has not seen.")
    which = f"images of {folder} that were held out in training"
    if new:
        which = f"images of {folder} that were not trained on ({len(counted) - new} held out then, {new} new)"
    return (
        counted,
        which,
        (
            f"{left_out} images of {folder} are not counted: by their content, they were trained on, or "
            "followed in training.",
        ),
    )


def _seen(parts: Mapping[Part, FolderPart], root: Path) -> tuple[SeenImage, ...]:
    return tuple(image for part, each in parts.items() for image in seen_as(part, each.files, root))


def _of_single_images(images: ClassFolders) -> str:
    """A sentence on classes of which no image can be held out, if there are any."""
    counts = torch.tensor(images.targets).bincount(minlength=len(images.classes)).tolist()
    alone = [name for name, count in zip(images.classes, counts, strict=True) if count == 1]
    if not alone:
        return ""
    return (
        f" Never measured, because their one image is trained on: {len(alone)} of {len(counts)} classes "
        f"({', '.join(alone[:5])}{', ...' if len(alone) > 5 else ''})."
    )


def _of_twins(seen: Sequence[SeenImage]) -> str:
    """A sentence on measured images that were trained on as well, if there are any."""
    twins = twins_in_training(seen)
    if not twins:
        return ""
    return (
        f" {len(twins)} of the images measured on are byte for byte among those trained on, first {twins[0].file}: "
        "accuracy is that much too high."
    )


def _held_out(images: ClassFolders, sha: str) -> tuple[Tensor, Tensor]:
    """Indices to train on and to hold out: the same whenever the folder is the same."""
    return held_out(torch.tensor(images.targets), seed=derive_seed("held out", sha), fraction=HELD_OUT)


def _lazy(
    images: ClassFolders, index: Tensor, preprocessing: Preprocessing, *, classes: Sequence[int] | None = None
) -> LazySplit:
    """A part of a folder; `classes` maps the folder's class indices to those of a patch."""
    labels = torch.tensor(images.targets)[index]
    return LazySplit(
        images=FolderPart(folder=images, places=index).images,
        labels=labels if classes is None else torch.tensor(classes)[labels],
        transform=preprocessing.resize_and_crop(),
        preprocessing=preprocessing,
    )
