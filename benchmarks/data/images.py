"""In-memory image classification tasks: what every data source of the suite hands over."""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset


@dataclass(frozen=True, kw_only=True)
class ImageSplit:
    """One split: `images` (N, H, W, 3) uint8 in RGB order, `labels` (N,) int64 class indices."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class ImageTask:
    """A labelled task with fixed splits; `source` says in one line where the images come from (licence)."""

    name: str
    class_names: tuple[str, ...]
    train: ImageSplit
    val: ImageSplit
    test: ImageSplit
    source: str

    def __post_init__(self) -> None:
        if len(self.class_names) < 2 or len(set(self.class_names)) != len(self.class_names):
            raise ValueError(
                f"task {self.name!r}: class_names is {self.class_names!r}, expected at least two different "
                "names; give every class its own name."
            )
        for split_name, split in self.splits().items():
            _check_split(f"task {self.name!r}, split {split_name!r}", split, len(self.class_names))
        sizes = {split.images.shape[1:] for split in self.splits().values()}
        if len(sizes) > 1:
            raise ValueError(
                f"task {self.name!r}: the splits hold images of sizes {sorted(sizes)}, expected one size; "
                "resize all splits alike."
            )

    def splits(self) -> dict[str, ImageSplit]:
        """The three splits by name, in the order train, val, test."""
        return {"train": self.train, "val": self.val, "test": self.test}

    def sha256(self) -> str:
        """Hex digest over class names, shapes and pixels/labels; the same on every machine."""
        digest = hashlib.sha256()
        for class_name in self.class_names:
            digest.update(class_name.encode() + b"\0")
        for split_name, split in self.splits().items():
            digest.update(f"{split_name}{split.images.shape}".encode())
            digest.update(split.images.tobytes())
            # Byte order is fixed here because tobytes() alone follows the machine's.
            digest.update(split.labels.astype("<i8").tobytes())
        return digest.hexdigest()


class ArrayImages(Dataset[tuple[NDArray[np.uint8]]]):
    """Images in memory (H, W, 3) uint8 as a data set without labels."""

    def __init__(self, images: NDArray[np.uint8]) -> None:
        self.images = images

    def __getitem__(self, index: int) -> tuple[NDArray[np.uint8]]:
        return (self.images[index],)

    def __len__(self) -> int:
        return len(self.images)


def _check_split(where: str, split: ImageSplit, class_count: int) -> None:
    """Raise a ValueError that names `where` when the arrays of `split` break the ImageSplit contract."""
    images, labels = split.images, split.labels
    if images.dtype != np.uint8:
        raise ValueError(f"{where}: images have dtype {images.dtype}, expected uint8; convert to 0..255.")
    if images.ndim != 4 or images.shape[3] != 3:
        raise ValueError(
            f"{where}: images have shape {images.shape}, expected (N, H, W, 3); "
            "put channels last and repeat grey images three times."
        )
    if labels.dtype != np.int64 or labels.ndim != 1:
        raise ValueError(
            f"{where}: labels are {labels.dtype} of shape {labels.shape}, expected int64 of shape (N,); "
            "flatten and cast them."
        )
    if len(labels) != len(images) or len(labels) == 0:
        raise ValueError(
            f"{where}: there are {len(images)} images and {len(labels)} labels, expected the same number "
            "above zero; give one label per image."
        )
    if labels.min() < 0 or labels.max() >= class_count:
        raise ValueError(
            f"{where}: labels span {labels.min()}..{labels.max()}, expected 0..{class_count - 1}; "
            "renumber them or add the missing class names."
        )
