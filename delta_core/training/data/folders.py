"""Image data that a user brings: an ImageFolder with splits."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset, Subset
from torchvision.datasets.folder import IMG_EXTENSIONS

from delta_core.training.data.image_files import ClassFolders, class_folders, is_left_out, is_read, paths_below
from delta_core.training.data.pixels import PixelStore
from delta_core.training.data.splits import LazySplit, Part, Split, TaskData, in_memory_if_small, seen_in_views
from delta_core.training.errors import UserError
from delta_core.training.identity import derive_seed
from delta_core.training.tensor_store import TensorStore
from delta_core.weights import Preprocessing

VAL_FRACTION = 0.1
"""Share of the training images held out where the data bring no validation split (PAINT holds out 10 %)."""

VAL_LIMIT = 5000
"""At most about so many images are held out (PAINT's limit)."""

SPLITS: tuple[Part, ...] = ("train", "val", "test")


def folder_identity(root: Path) -> str:
    """Hash of all relative file paths and sizes below a folder: the same data give the same hash anywhere."""
    digest = hashlib.sha256()
    for path in sorted(path for path in paths_below(root) if path.is_file()):
        digest.update(f"{path.relative_to(root).as_posix()}|{path.stat().st_size}\n".encode())
    return digest.hexdigest()[:12]


def check_folder(root: Path, *, holding: str = "one folder of images per class") -> None:
    """Raise UserError unless an image folder is there and is a folder."""
    if not root.is_dir():
        wrong = "is a file" if root.exists() else "does not exist"
        raise UserError(f"Image folder {str(root)!r} {wrong}; give a folder with {holding}.")


def check_image_folder(root: Path) -> None:
    """Raise UserError unless `root` holds train/ and one of test/ or val/ with the same classes."""
    check_folder(root, holding="train/ and test/ inside")
    splits = [name for name in SPLITS if (root / name).is_dir()]
    if "train" not in splits or len(splits) < 2:
        raise UserError(
            f"Image folder {str(root)!r} needs train/ and test/ (or val/) inside, found {splits or 'neither'}."
        )
    classes = {name: check_classes(root / name) for name in splits}
    for name, found in classes.items():
        if found != classes["train"]:
            differ = sorted(set(found) ^ set(classes["train"]))
            raise UserError(f"{root / name} and {root / 'train'} hold different classes ({', '.join(differ[:3])}).")


TAIL_BYTES = 4096


def twins_in_training(root: Path) -> list[Path]:
    """Images in val/ and test/ of an image folder that are, byte for byte, in its train/ as well.

    Files are read whole only where others have their size and their end.
    """

    def images(split: str) -> list[Path]:
        return [Path(file) for file, _ in ClassFolders(root / split).samples] if (root / split).is_dir() else []

    measured, trained = [*images("val"), *images("test")], images("train")
    for told_by in (_size, _tail, _content):
        seen = {told_by(file) for file in trained}
        measured = [file for file in measured if told_by(file) in seen]
        left = {told_by(file) for file in measured}
        trained = [file for file in trained if told_by(file) in left]
    return measured


def _size(file: Path) -> int:
    return file.stat().st_size


def _tail(file: Path) -> bytes:
    with file.open("rb") as stream:
        stream.seek(max(0, _size(file) - TAIL_BYTES))
        return stream.read()


def _content(file: Path) -> bytes:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").digest()


def check_classes(folder: Path) -> list[str]:
    """Names of the class folders in a folder.

    Raises:
        UserError: for fewer than two, one without images, an image of a kind that is not read, or a link that leads
            back up.
    """
    _check_links(folder, ())
    found = class_folders(folder)
    left_out = [path for entry in found for path in paths_below(folder / entry) if is_left_out(path)]
    if left_out:
        raise UserError(
            f"{min(left_out)} is one of {len(left_out)} images below {folder} that would not be read; convert them to "
            f"one of {' '.join(sorted(IMG_EXTENSIONS))}."
        )
    empty = [entry for entry in sorted(folder.iterdir()) if _may_be_a_class(entry) and not _holds_images(entry)]
    if empty and found:
        raise UserError(f"{empty[0]} holds no images; put some there or remove the folder.")
    if len(found) < 2:
        raise UserError(f"{folder} holds {len(found)} class folders; a task needs at least two, one per class.")
    return found


def _check_links(folder: Path, above: tuple[Path, ...]) -> None:
    """Raise UserError for a link to a folder above itself: its images would count again and again, as any class."""
    real = folder.resolve()
    above = above or tuple(real.parents)
    if real in above:
        raise UserError(f"{folder} is a link that leads back to {real}, in which it lies; remove it.")
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                _check_links(Path(entry.path), (*above, real))


def _may_be_a_class(entry: Path) -> bool:
    return entry.is_dir() and not entry.name.startswith(".")


def has_splits(root: Path) -> bool:
    """Whether the folders inside are splits, not classes: `train` may be one beside `bus` and `car`."""
    names = set(class_folders(root))
    return bool(names) and (names <= set(SPLITS) or ("train" in names and not names.isdisjoint({"test", "val"})))


def class_indices(folder: Path, found: Sequence[str], known: Sequence[str]) -> list[int]:
    """Index of each class of a folder among the classes that a patch knows, of which the folder may lack some.

    Raises:
        UserError: for a class that the patch does not know.
    """
    strange = sorted(set(found) - set(known))
    if strange:
        raise UserError(
            f"{folder} holds the class {strange[0]!r}, which the patch does not know; "
            f"it knows {', '.join(sorted(known)[:5])}{', ...' if len(known) > 5 else ''}."
        )
    return [known.index(name) for name in found]


def _holds_images(folder: Path) -> bool:
    return any(is_read(path) for path in paths_below(folder))


def load_image_folder(
    name: str,
    root: Path,
    preprocessing: Preprocessing,
    *,
    views: int,
    loader_workers: int = 0,
    store: TensorStore | None = None,
) -> TaskData:
    """Open an ImageFolder task.

    With only one of test/ and val/ that one is the test split, and the validation split is drawn from train/,
    stratified and seeded by the task's name.

    Args:
        name: what rows call the task.
        root: folder with train/ and test/ (or val/), one folder per class in each.
        preprocessing: resize, crop and normalisation of the backbone's weights.
        views: of each training image: 0 = a fresh one in every epoch, 1 = resized and cropped, K = K fixed random ones.
        loader_workers: processes that decode images.
        store: where decoded images are kept for other runs; None: in memory, if they are few.

    Raises:
        UserError: if the layout is wrong.
    """
    parts = open_parts(name, root)
    sha = folder_identity(root)
    pixels = None if store is None else PixelStore(store=store, name=name, data_sha=sha)

    def split(part: Part, views: int = 1) -> Split:
        lazy = LazySplit(
            images=parts[part].images,
            labels=parts[part].labels,
            transform=preprocessing.resize_and_crop(),
            preprocessing=preprocessing,
            workers=loader_workers,
        )

        def keep(images: LazySplit) -> Split:
            kept = images if pixels is None else pixels.keep(part, images)
            return in_memory_if_small(images, views) if kept is images else kept

        return seen_in_views(lazy, views, task=name, keep=keep)

    classes = len(class_folders(root / "train"))
    return TaskData(
        name=name,
        classes=classes,
        sha=sha,
        train=split("train", views),
        val=split("val"),
        test=split("test"),
    )


@dataclass(frozen=True, kw_only=True)
class FolderPart:
    """Some images of a folder of class folders."""

    folder: ClassFolders
    places: Tensor
    """(n,) of the images in the folder's list."""

    @property
    def images(self) -> Dataset[Any]:
        """Of (image, label)."""
        return Subset(self.folder, self.places.tolist())

    @property
    def labels(self) -> Tensor:
        """Class indices (n,)."""
        return torch.tensor(self.folder.targets)[self.places]

    @property
    def files(self) -> list[Path]:
        """Where the images lie."""
        return [Path(self.folder.samples[place][0]) for place in self.places.tolist()]


def open_parts(name: str, root: Path) -> dict[Part, FolderPart]:
    """The three splits of an ImageFolder task, as `load_image_folder` opens them.

    Raises:
        UserError: if the layout is wrong.
    """
    check_image_folder(root)
    parts: dict[Part, FolderPart] = {}
    for part in SPLITS:
        if (root / part).is_dir():
            folder = ClassFolders(root / part)
            parts[part] = FolderPart(folder=folder, places=torch.arange(len(folder)))
    if "test" not in parts:
        parts["test"] = parts.pop("val")
    if "val" not in parts:
        train = parts["train"]
        kept, held = held_out(train.labels, seed=derive_seed("val", name))
        if not len(held):
            raise UserError(f"{root / 'train'} has one image of each class; at least two are needed to hold one out.")
        parts["train"], parts["val"] = replace(train, places=kept), replace(train, places=held)
    return parts


def held_out(
    labels: Tensor, *, seed: int, fraction: float = VAL_FRACTION, groups: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Indices to keep and to hold out, both sorted; at least one image of each class is held out and one kept.

    Args:
        labels: class indices (N,).
        seed: of the draw.
        fraction: share of each class to hold out.
        groups: (N,) of images that go the same way wherever a class has more than one group; None: each goes its own.
    """
    generator = torch.Generator().manual_seed(seed)
    fraction = min(fraction, VAL_LIMIT / len(labels))
    held = []
    for label in labels.unique():
        members = torch.nonzero(labels == label)[:, 0]
        count = min(max(1, round(fraction * len(members))), len(members) - 1)  # 0 where there is one image
        drawn = members[torch.randperm(len(members), generator=generator)]
        held.append(drawn[:count] if groups is None else _whole_groups(drawn, groups[drawn], count))
    mask = torch.zeros(len(labels), dtype=torch.bool)
    mask[torch.cat(held)] = True
    return torch.nonzero(~mask)[:, 0], torch.nonzero(mask)[:, 0]


def _whole_groups(drawn: Tensor, groups: Tensor, count: int) -> Tensor:
    """Of images in the order drawn (M,) and their groups (M,), `count` or fewer that are whole groups.

    Where every group has more, they are the smallest group; where there is one group alone, the first images of it.
    """
    of_group: dict[int, list[int]] = {}
    for place, group in zip(drawn.tolist(), groups.tolist(), strict=True):
        of_group.setdefault(group, []).append(place)
    if len(of_group) == 1:
        return drawn[:count]
    taken: list[int] = []
    for places in of_group.values():
        if len(taken) + len(places) <= count:
            taken += places
    return torch.tensor(taken or min(of_group.values(), key=len), dtype=torch.long)
