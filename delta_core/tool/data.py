"""A person's image folder: with splits of its own, or one folder per class from which some images are held out."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from delta_core.patch_file import MAX_CLASSES, MAX_JSON_BYTES
from delta_core.plain_text import is_line
from delta_core.tool.seen_images import SeenImage, content_of, seen_as
from delta_core.tool.split_notes import of_look_alikes, of_near_duplicates, of_single_images, of_twins
from delta_core.training.data.folders import (
    FolderPart,
    check_classes,
    check_folder,
    check_image_folder,
    class_indices,
    folder_identity,
    has_splits,
    held_out,
    open_parts,
)
from delta_core.training.data.image_files import ClassFolders, class_folders, is_read, paths_below
from delta_core.training.data.labelled import split_folder
from delta_core.training.data.near_duplicates import groups_of, perceptual_hashes
from delta_core.training.data.splits import LazySplit, Part, Split, TaskData, in_memory_if_small, seen_in_views
from delta_core.training.errors import UserError
from delta_core.training.identity import derive_seed
from delta_core.weights import Preprocessing

HELD_OUT = 0.2
"""Share of each class that is held out of a folder without splits."""
HELD_OUT_TO_CHOOSE = 0.25
"""Share of each class of the training images on which the number of modules is chosen."""


@dataclass(frozen=True, kw_only=True)
class Photos:
    """A task with the names of its classes."""

    name: str
    """Of the folder."""
    sha: str
    """`folder_identity`."""
    class_names: tuple[str, ...]
    parts: dict[Part, FolderPart]
    preprocessing: Preprocessing
    views: int
    """Of each training image, as `Recipe.views`; of all others there is one."""
    splits: str
    """Sentences: where the images that accuracy is measured on come from, and what to know of them."""
    examples: str
    """Sentences that name files, for the eyes of their owner alone."""
    seen: tuple[SeenImage, ...]
    """Every image file, as what the training sees it."""
    groups: Tensor
    """(N,) of all images in the folder of those trained on: near-duplicates share theirs."""

    def to_choose_on(self) -> "Photos":
        """The training images alone, in two parts, so that a choice has no part in what accuracy is measured on.

        A val/ that the folder brings beside test/ is the second part; else a quarter of each class is.

        Raises:
            UserError: if no class has two images to part.
        """
        train, val = self.parts["train"], self.parts["val"]
        if val is not self.parts["test"] and val.folder is not train.folder:
            return replace(self, parts=self.parts | {"test": val})
        pool = train.places if val is self.parts["test"] else torch.cat([train.places, val.places]).sort().values
        whole = FolderPart(folder=train.folder, places=pool)
        kept, held = held_out(
            whole.labels, seed=derive_seed("choice", self.sha), fraction=HELD_OUT_TO_CHOOSE, groups=self.groups[pool]
        )
        if not len(held):
            raise UserError(
                f"{self.name!r} has one image of each class to train on, so that nothing can be chosen; give --modules "
                "a number."
            )
        chosen_on = replace(whole, places=pool[held])
        return replace(self, parts={"train": replace(whole, places=pool[kept]), "val": chosen_on, "test": chosen_on})

    @cached_property
    def task(self) -> TaskData:
        """The images themselves."""
        test = in_memory_if_small(self._lazy("test"))
        return TaskData(
            name=self.name,
            classes=len(self.class_names),
            sha=self.sha,
            train=seen_in_views(
                self._lazy("train"), self.views, task=self.name, keep=lambda view: in_memory_if_small(view, self.views)
            ),
            val=test if self.parts["val"] is self.parts["test"] else in_memory_if_small(self._lazy("val")),
            test=test,
        )

    def _lazy(self, part: Part) -> LazySplit:
        return _lazy(self.parts[part], self.preprocessing)


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
    """Raise UserError unless the folder has one of the two layouts, with at least two classes and images in each.

    Names of classes and of the folder become part of the patch, so they must be what a patch can hold.
    """
    check_folder(root)
    _check_files(root)
    if has_splits(root):
        check_image_folder(root)
        check_names(root, class_folders(root / "train"))
    else:
        check_names(root, check_classes(root))


def check_names(root: Path, classes: Sequence[str]) -> None:
    """Raise UserError unless the name of a folder and those of its classes can be saved with a patch."""
    for name in (root.resolve().name, *classes):
        if not is_line(name):
            raise UserError(
                f"The folder name {name[:100]!r} holds control characters, ends of lines or bytes that are no UTF-8; "
                "rename the folder."
            )
    size = len(json.dumps(classes).encode())
    if size > MAX_JSON_BYTES // 2 or len(classes) > MAX_CLASSES:
        raise UserError(
            f"{root} holds {len(classes)} classes whose names have {size} bytes; a patch holds {MAX_CLASSES} classes "
            f"and {MAX_JSON_BYTES // 2} bytes of names."
        )


def _check_files(root: Path) -> None:
    """Raise UserError for what is called like an image and is a pipe or a device: reading one may never end."""
    for path in paths_below(root):
        if is_read(path) and path.exists() and not (path.is_file() or path.is_dir()):
            raise UserError(f"{path} is a pipe or a device and no image; remove it.")


def load_photos(root: Path, preprocessing: Preprocessing, *, views: int = 1, choosing: bool = False) -> Photos:
    """Find the images of a folder.

    Args:
        root: the folder.
        preprocessing: resize, crop and normalisation.
        views: of each training image, as `Recipe.views`.
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
    parts = open_parts(name, root)
    measured = "test" if (root / "test").is_dir() else "val"
    drawn = "" if (root / "val").is_dir() and measured == "test" else ", which are held out of train/"
    seen = _seen(parts, root)
    trained = parts["train"].folder
    hashes = perceptual_hashes(Path(file) for file, _ in trained.samples)
    twins, first_twin = of_twins(seen)
    alike, first_alike = of_look_alikes(parts, hashes[parts["train"].places.numpy()], root, seen)
    return Photos(
        name=name,
        sha=folder_identity(root),
        class_names=tuple(class_folders(root / "train")),
        parts=parts,
        preprocessing=preprocessing,
        views=views,
        splits=f"Accuracy is measured on the {len(parts['test'].places)} images of {measured}/; it is followed during "
        f"training on {len(parts['val'].places)} others{drawn}.{twins}{alike}",
        examples=first_twin + first_alike,
        seen=seen,
        groups=groups_of(hashes, torch.tensor(trained.targets)),
    )


def _drawn(root: Path, preprocessing: Preprocessing, views: int, choosing: bool) -> Photos:
    images = ClassFolders(root)
    sha, labels = folder_identity(root), torch.tensor(images.targets)
    groups = groups_of(perceptual_hashes(Path(file) for file, _ in images.samples), labels)
    kept, held = _held_out(images, sha, groups)
    if not len(held):
        raise UserError(f"{root} has one image of each class; at least two are needed to hold one out.")
    places: dict[Part, Tensor] = {"train": kept, "test": held}
    others = ""
    if choosing:
        rest, chosen = held_out(labels[kept], seed=derive_seed("val", sha), groups=groups[kept])
        if not len(chosen):
            raise UserError(f"{root} has two images of each class at most; early stopping needs a third to choose on.")
        places |= {"train": kept[rest], "val": kept[chosen]}
        others = f" When to stop is chosen on {len(chosen)} others."
    parts = {part: FolderPart(folder=images, places=each) for part, each in places.items()}
    seen = _seen(parts, root)
    twins, first_twin = of_twins(seen)
    return Photos(
        name=root.resolve().name,
        sha=sha,
        class_names=tuple(images.classes),
        parts={"val": parts["test"], **parts},
        preprocessing=preprocessing,
        views=views,
        splits=f"There is no train/ and test/ inside, so {len(held)} of {len(images)} images are held out, some of "
        f"each class; accuracy is measured on them and nothing is chosen on them.{others}"
        f"{of_near_duplicates(groups, held)}{of_single_images(images)}{twins}",
        examples=first_twin,
        seen=seen,
        groups=groups,
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
    _check_files(folder)
    indices = class_indices(folder, check_classes(folder), class_names)
    images = ClassFolders(folder)
    everything = torch.arange(len(images))
    notes: tuple[str, ...] = ()
    if seen:
        index, which, notes = _unseen(FolderPart(folder=images, places=everything), folder, seen)
    elif folder == root and folder_identity(root) == trained_on:
        index, which = _held_out_without_list(images, trained_on), f"images of {root} that were held out in training"
    else:
        index, which = everything, f"images of {folder}"
        notes = ("The patch has no list of the images that it was trained on; some of these may be among them.",)
    part = FolderPart(folder=images, places=index)
    split = in_memory_if_small(_lazy(part, preprocessing, classes=indices))
    return Measured(split=split, which=which, notes=notes)


def _held_out_without_list(images: ClassFolders, sha: str) -> Tensor:
    """Places of the images that were held out, drawn once more.

    Raises:
        UserError: if they depend on near-duplicates, which the training may have drawn apart or together.
    """
    labels = torch.tensor(images.targets)
    groups = groups_of(perceptual_hashes(Path(file) for file, _ in images.samples), labels)
    if len(groups.unique()) < len(groups):
        raise UserError(
            f"The patch was trained on images of {images.root} and has no list of them any more; give images that it "
            "has not seen."
        )
    return _held_out(images, sha, groups)[1]


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
            f"{left_out} of the {len(contents)} images of {folder} are not counted: by their content, they were "
            "trained on, or followed in training.",
        ),
    )


def _seen(parts: Mapping[Part, FolderPart], root: Path) -> tuple[SeenImage, ...]:
    return tuple(image for part, each in parts.items() for image in seen_as(part, each.files, root))


def _held_out(images: ClassFolders, sha: str, groups: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Indices to train on and to hold out: the same whenever the folder is the same."""
    return held_out(torch.tensor(images.targets), seed=derive_seed("held out", sha), fraction=HELD_OUT, groups=groups)


def _lazy(part: FolderPart, preprocessing: Preprocessing, *, classes: Sequence[int] | None = None) -> LazySplit:
    """A part of a folder; `classes` maps the folder's class indices to those of a patch."""
    return LazySplit(
        images=part.images,
        labels=part.labels if classes is None else torch.tensor(classes)[part.labels],
        transform=preprocessing.resize_and_crop(),
        preprocessing=preprocessing,
    )
