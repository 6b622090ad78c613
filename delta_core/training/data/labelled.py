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

from delta_core.training.data.folders import check_classes, class_indices, has_splits
from delta_core.training.data.image_files import ClassFolders, class_folders
from delta_core.training.data.ready_inputs import ReadyInputs, check_input
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
            part: what it is for, and how messages call it.
            views: of each image, as `Recipe.views`.

        Raises:
            UserError: for a folder, image or label that cannot be used.
        """
        if isinstance(data, NamedSplit):
            named = data
        elif isinstance(data, str | Path):
            named = self._folder(Path(data), part, views)
        elif isinstance(data, tuple | list) and len(data) == 2 and all(isinstance(each, Tensor) for each in data):
            named = self._tensors(*data, part, views)
        elif hasattr(data, "__getitem__") and hasattr(data, "__len__"):
            named = self._data_set(data, part, views)
        else:
            raise UserError(
                f"{part} is a {type(data).__name__}; give a folder of images, a data set of (image, label) with a "
                "length, or a pair of tensors (images, labels)."
            )
        self._check_labels(named.images.labels, part)
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
        files = (Path(path) for path, _ in images.samples)
        pieces = (
            piece for file in files for piece in (file.relative_to(folder).as_posix().encode(), file.read_bytes())
        )
        return _named(self._lazy(images, labels, views), _sha(pieces) if self.by_content else "")

    def _tensors(self, images: Tensor, labels: Tensor, part: Part, views: int) -> NamedSplit:
        if len(images) != len(labels) or labels.ndim != 1 or labels.is_floating_point() or labels.dtype == torch.bool:
            raise UserError(
                f"{part} holds images {tuple(images.shape)} and labels {tuple(labels.shape)} {labels.dtype}; give "
                "(N, 3, H, W) with (N,) class indices."
            )
        if images.ndim != 4:
            raise UserError(f"{part} holds images {tuple(images.shape)}; give (N, 3, H, W).")
        if len(images) and images.is_floating_point():
            check_input(images[0])
            self._check_ready(float(images.min()), part, views)
            view = replace(self.preprocessing, image_size=max(images.shape[-2:]))
            split: Split = FeatureSplit(inputs=images.cpu(), labels=labels.cpu().long(), preprocessing=view)
        else:
            split = self._lazy(TensorDataset(images.cpu()), labels.cpu().long(), views)
        return _named(split, _sha(_pieces_of(images)) if self.by_content else "")

    def _data_set(self, data: Any, part: Part, views: int) -> NamedSplit:
        labels, lowest, images = [], math.inf, hashlib.sha256()
        for image, label in _pairs(data, part):
            labels.append(_label(label, part))
            if isinstance(image, Tensor) and image.is_floating_point():
                lowest = min(lowest, float(image.min()))
            if self.by_content:
                images.update(_sha(_pieces_of(image)).encode())
        first = data[0][0] if labels else None
        found = torch.tensor(labels, dtype=torch.long)
        if isinstance(first, Tensor) and first.is_floating_point():
            self._check_ready(lowest, part, views)
            view = replace(self.preprocessing, image_size=max(first.shape[-2:]))
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

    def _check_ready(self, lowest: float, part: Part, views: int) -> None:
        if lowest >= 0 and max(self.preprocessing.mean) > 0:
            raise UserError(
                f"{part} holds float images without a value below 0, so they are not normalised; give uint8 or PIL "
                "images, or make inputs with delta_core.resolve_transform(model)."
            )
        if views > 1:
            raise UserError(
                f"recipe.views is {views}, but {part} holds float tensors, of which no views can be made; give uint8 "
                "or PIL images, or 1 for data that stay the same and 0 for a data set that draws its own views."
            )

    def _check_labels(self, labels: Tensor, part: Part) -> None:
        if not len(labels):
            raise UserError(f"{part} holds no images; give at least one.")
        low, high = int(labels.min()), int(labels.max())
        if low < 0 or high >= self.classes:
            raise UserError(
                f"{part} has labels from {low} to {high}, but the head tells {self.classes} classes apart; give class "
                f"indices from 0 to {self.classes - 1}, or add_patch another num_classes."
            )


def split_folder(root: Path, part: Part) -> Path:
    """Folder of class folders in which the images of a part lie: `root` itself, or one inside.

    Raises:
        UserError: if it does not exist, or has splits but not this one.
    """
    if not root.is_dir():
        raise UserError(
            f"Image folder {str(root)!r} does not exist; give a folder with one folder of images per class."
        )
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
    return isinstance(data, str | Path) and has_splits(Path(data)) and (Path(data) / "val").is_dir()


def class_names_in(data: Data) -> tuple[str, ...]:
    """Names of the class folders to train on; empty for data without names."""
    return tuple(class_folders(split_folder(Path(data), "train"))) if isinstance(data, str | Path) else ()


class RgbImages(Dataset[tuple[Any]]):
    """The images of a data set of (image, label) as RGB: PIL images, or tensors (3, H, W) uint8."""

    def __init__(self, pairs: Dataset[Any]) -> None:
        self.pairs = pairs

    def __getitem__(self, index: int) -> tuple[Any]:
        return (as_rgb(self.pairs[index][0]),)

    def __len__(self) -> int:
        return len(self.pairs)  # type: ignore[arg-type]


def as_rgb(image: Any) -> Image.Image | Tensor:
    """An image of a user as RGB. Raises UserError for what is no image.

    >>> as_rgb(torch.zeros(1, 4, 5, dtype=torch.uint8)).shape
    torch.Size([3, 4, 5])
    """
    if isinstance(image, Image.Image):
        return image if image.mode == "RGB" else image.convert("RGB")
    pixels = torch.from_numpy(image) if isinstance(image, np.ndarray) and image.dtype == np.uint8 else image
    if isinstance(pixels, Tensor) and pixels.dtype == torch.uint8 and pixels.ndim in (2, 3):
        if isinstance(image, np.ndarray) and pixels.ndim == 3:
            pixels = pixels.permute(2, 0, 1)
        pixels = pixels.reshape(-1, *pixels.shape[-2:])
        if len(pixels) in (1, 3):
            return pixels.expand(3, -1, -1)
    shape = f"{tuple(image.shape)} {image.dtype}" if hasattr(image, "shape") else type(image).__name__
    raise UserError(
        f"An image of the data is {shape}; give PIL images, uint8 arrays (H, W, 3), or tensors (3, H, W): uint8 "
        "pixels, or floats that are normalised already."
    )


def _pairs(data: Any, part: Part) -> Iterator[tuple[Any, Any]]:
    for index in range(len(data)):
        item = data[index]
        if not isinstance(item, tuple | list) or len(item) != 2:
            raise UserError(f"{part}[{index}] is a {type(item).__name__}; a data set gives pairs (image, label).")
        yield item[0], item[1]


def _label(label: Any, part: Part) -> int:
    try:
        return as_index(label)
    except (TypeError, ValueError) as error:
        raise UserError(f"{part} has the label {str(label)[:50]!r}; give a class index, a whole number.") from error


def _pieces_of(image: Any) -> Iterator[bytes]:
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
