"""What a user trains or measures on, opened as a split: a folder of images, a data set, or a pair of tensors.

Images are PIL images, uint8 arrays (H, W), (H, W, 3) or uint8 tensors (1 or 3, H, W); they are resized, cropped and
normalised as the weights of the net want it. Float tensors (3, H, W) are inputs of the net already, taken as they are.
"""

import hashlib
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from operator import index as as_index
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset, TensorDataset

from delta_core.training.data.folders import check_classes, check_folder, class_indices, has_splits
from delta_core.training.data.image_files import ClassFolders, class_folders
from delta_core.training.data.ready_inputs import ReadyInputs, check_input
from delta_core.training.data.rgb_images import RgbImages, as_rgb
from delta_core.training.data.splits import FeatureSplit, LazySplit, NamedSplit, Part, Split, seen_in_views
from delta_core.training.errors import UserError
from delta_core.weights import Preprocessing

Data = str | Path | Dataset[Any] | tuple[Tensor, Tensor] | NamedSplit
"""A folder with one folder of images per class, or with train/ and val/ or test/ inside; a map-style data set of
(image, label); images (N, C, H, W) with labels (N,); or a split that is open already."""

SPLIT_FOLDERS: dict[Part, tuple[str, ...]] = {"train": ("train",), "val": ("val",), "test": ("test", "val")}
"""Where the images of a part lie in a folder that has splits, the better place first."""


@dataclass(frozen=True, kw_only=True)
class DataReader:
    """Opens data for one head."""

    classes: int
    class_names: tuple[str, ...]
    """Of the head; empty where they are not known."""
    preprocessing: Preprocessing
    workers: int = 0
    """Processes that read and decode."""
    by_content: bool = False
    """Whether data get an identity, for which they are read as a whole; else it is empty."""

    def open(self, data: Data, part: Part, *, views: int = 1) -> NamedSplit:
        """Open data as training (`train`), validation (`val`) or measured images (`test`).

        Args:
            data: what the user gave.
            part: what it is for.
            views: of each image, as `Recipe.views`.

        Raises:
            UserError: for a folder, image or label that cannot be used.
        """
        word = "data" if part == "test" else part
        if isinstance(data, NamedSplit):
            named = data
        elif isinstance(data, str | Path):
            named = self._folder(Path(data), part, views)
        elif isinstance(data, tuple | list) and len(data) == 2 and all(isinstance(each, Tensor) for each in data):
            named = self._tensors(*data, word, views)
        elif hasattr(data, "__getitem__") and hasattr(data, "__len__"):
            named = self._data_set(data, word, views)
        else:
            raise UserError(
                f"{word} is a {type(data).__name__}; give a folder of images, a data set of (image, label) with a "
                "length, or a pair of tensors (images, labels)."
            )
        self._check_labels(named.images.labels, word)
        return named

    def _folder(self, root: Path, part: Part, views: int) -> NamedSplit:
        folder = split_folder(root, part)
        check_classes(folder)
        images = ClassFolders(folder)
        if self.class_names:
            indices = class_indices(folder, images.classes, self.class_names)
        elif len(images.classes) == self.classes:
            indices = list(range(self.classes))
        else:
            raise UserError(
                f"{folder} holds {len(images.classes)} class folders, but the head tells {self.classes} classes apart; "
                "give add_patch the number of folders as num_classes, or class_names."
            )
        labels = torch.tensor(indices)[torch.tensor(images.targets)]
        contents = (Path(path).read_bytes() for path, _ in images.samples)
        return _named(self._lazy(images, labels, views), _sha(contents) if self.by_content else "")

    def _tensors(self, images: Tensor, labels: Tensor, word: str, views: int) -> NamedSplit:
        if len(images) != len(labels) or labels.ndim != 1 or labels.is_floating_point() or labels.dtype == torch.bool:
            raise UserError(
                f"{word} holds images {tuple(images.shape)} and labels {tuple(labels.shape)} {labels.dtype}; give "
                "(N, 3, H, W) with (N,) class indices."
            )
        if images.ndim != 4:
            raise UserError(f"{word} holds images {tuple(images.shape)}; give (N, 3, H, W).")
        if len(images) and images.is_floating_point():
            check_input(images[0])
            self._check_ready(float(images.min()), word, views)
            view = replace(self.preprocessing, image_size=max(images.shape[-2:]))
            split: Split = FeatureSplit(inputs=images.cpu(), labels=labels.cpu().long(), preprocessing=view)
        else:
            for image in images[:1]:
                as_rgb(image)  # all others are of the same kind
            split = self._lazy(TensorDataset(images.cpu()), labels.cpu().long(), views)
        return _named(split, _sha(_pieces_of(images)) if self.by_content else "")

    def _data_set(self, data: Any, word: str, views: int) -> NamedSplit:
        labels, lowest, size, images = [], math.inf, 0, hashlib.sha256()
        for image, label in _pairs(data, word):
            labels.append(_label(label, word))
            if size or (len(labels) == 1 and isinstance(image, Tensor) and image.is_floating_point()):
                seen: Image.Image | Tensor = check_input(image)
                lowest, size = min(lowest, float(image.min())), max(image.shape[-2:])
            else:
                seen = as_rgb(image)
            if self.by_content:
                images.update(_sha(_pieces_of(seen)).encode())
        found = torch.tensor(labels, dtype=torch.long)
        if size:
            self._check_ready(lowest, word, views)
            view = replace(self.preprocessing, image_size=size)
            split: Split = ReadyInputs(inputs=data, labels=found, preprocessing=view, workers=self.workers)
        else:
            split = self._lazy(data, found, views)
        return _named(split, images.hexdigest() if self.by_content else "")

    def _lazy(self, pairs: Dataset[Any], labels: Tensor, views: int) -> Split:
        lazy = LazySplit(
            images=RgbImages(pairs),
            labels=labels,
            transform=self.preprocessing.resize_and_crop(),
            preprocessing=self.preprocessing,
            workers=self.workers,
        )
        return seen_in_views(lazy, views, task="fit", keep=lambda images: images)

    def _check_ready(self, lowest: float, word: str, views: int) -> None:
        if lowest >= 0 and max(self.preprocessing.mean) > 0:
            raise UserError(
                f"{word} holds float images without a value below 0, so they are not normalised; give uint8 or PIL "
                "images, or make inputs with delta_core.resolve_transform(model)."
            )
        if views > 1:
            raise UserError(
                f"recipe.views is {views}, but {word} holds float tensors, of which no views can be made; give uint8 "
                "or PIL images, or 1 for data that stay the same and 0 for a data set that draws its own views."
            )

    def _check_labels(self, labels: Tensor, word: str) -> None:
        if not len(labels):
            raise UserError(f"{word} holds no images; give at least one.")
        low, high = int(labels.min()), int(labels.max())
        if low < 0 or high >= self.classes:
            raise UserError(
                f"{word} has labels from {low} to {high}, but the head tells {self.classes} classes apart; give class "
                f"indices from 0 to {self.classes - 1}, or add_patch another num_classes."
            )


def split_folder(root: Path, part: Part) -> Path:
    """Folder of class folders in which the images of a part lie: `root` itself, or one inside.

    Raises:
        UserError: if it does not exist, or has splits but not this one.
    """
    check_folder(root)
    if not has_splits(root):
        return root
    found = next((root / name for name in SPLIT_FOLDERS[part] if (root / name).is_dir()), None)
    if found is None:
        wanted = "/ or ".join(SPLIT_FOLDERS[part])
        raise UserError(
            f"Image folder {str(root)!r} has splits but no {wanted}/ inside; add it, or name a folder of it."
        )
    return found


def has_validation(data: Data) -> bool:
    """Whether the data are a folder that brings validation images."""
    return isinstance(data, str | Path) and (Path(data) / "val").is_dir() and has_splits(Path(data))


def class_names_in(data: Data) -> tuple[str, ...]:
    """Names of the class folders to train on; empty for data without names."""
    return tuple(class_folders(split_folder(Path(data), "train"))) if isinstance(data, str | Path) else ()


def _pairs(data: Any, word: str) -> Iterator[tuple[Any, Any]]:
    for index in range(len(data)):
        item = data[index]
        if not isinstance(item, tuple | list) or len(item) != 2:
            raise UserError(f"{word}[{index}] is a {type(item).__name__}; a data set gives pairs (image, label).")
        yield item[0], item[1]


def _label(label: Any, word: str) -> int:
    try:
        return as_index(label)
    except (TypeError, ValueError) as error:
        raise UserError(f"{word} has the label {str(label)[:50]!r}; give a class index, a whole number.") from error


def _pieces_of(image: Image.Image | Tensor) -> Iterator[bytes]:
    """An image as bytes, its kind and shape among them."""
    pixels = image if isinstance(image, Tensor) else torch.from_numpy(np.array(image))
    yield f"{type(image).__name__}|{pixels.dtype}|{tuple(pixels.shape)}".encode()
    yield pixels.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def _sha(pieces: Iterable[bytes]) -> str:
    """SHA-256 of pieces of bytes, each with its length, so that no other cut of them gives the same."""
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(len(piece).to_bytes(8))
        digest.update(piece)
    return digest.hexdigest()


def _named(split: Split, sha: str) -> NamedSplit:
    """What was given as a whole is a data set of its own, whatever it is used for."""
    return NamedSplit(images=split, data_set=sha[:32], data_sha=sha, part="all")
