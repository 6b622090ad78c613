"""torchvision's loaders as `Examples`. They find images and labels; one reader of ours opens the files.

torchvision compares checksums whenever a data set is opened (STL-10: 2.6 GB each time, unlabelled images included);
here `fetch --check` does that once, so the comparison is switched off.
"""

import hashlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.utils.data import Dataset
from torchvision import datasets

from benchmarks.data.catalogue.entry import Examples
from delta_core.training.data.image_files import ClassFolders, read_image

DIGITS = tuple("0123456789")
STL10_CLASSES = ("airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck")

as_stored = partial(read_image, upright=False)
"""Official data are read as they were published: nobody's numbers come from turned images."""


class ImageFiles(Dataset[tuple[Image.Image]]):
    """Images in files, read when they are asked for."""

    def __init__(self, root: Path, names: Sequence[str], read: Callable[[Path], Image.Image] = as_stored) -> None:
        self.root, self.names, self.read = root, names, read

    def __getitem__(self, index: int) -> tuple[Image.Image]:
        return (self.read(self.root / self.names[index]),)

    def __len__(self) -> int:
        return len(self.names)


class Pixels(Dataset[tuple[NDArray[np.uint8]]]):
    """Images in memory, (N, H, W, 3) or grey (N, H, W) uint8."""

    def __init__(self, pixels: NDArray[np.uint8]) -> None:
        self.pixels = pixels

    def __getitem__(self, index: int) -> tuple[NDArray[np.uint8]]:
        image = self.pixels[index]
        return (image if image.ndim == 3 else np.repeat(image[:, :, None], 3, axis=2),)

    def __len__(self) -> int:
        return len(self.pixels)


def in_files(
    root: Path,
    paths: Sequence[str | Path],
    labels: Sequence[int],
    class_names: Sequence[str],
    read: Callable[[Path], Image.Image] = as_stored,
) -> Examples:
    """Examples whose images are files below `root`."""
    names = [Path(path).relative_to(root).as_posix() for path in paths]
    return Examples(
        images=ImageFiles(root, names, read),
        labels=torch.tensor(list(labels), dtype=torch.int64),
        names=names,
        class_names=tuple(class_names),
    )


def in_memory(pixels: Any, labels: Any, class_names: Sequence[str]) -> Examples:
    """Examples whose images are one array, (N, H, W, 3) or (N, H, W) uint8."""
    pixels = np.asarray(pixels)
    return Examples(
        images=Pixels(pixels),
        labels=torch.as_tensor(np.asarray(labels), dtype=torch.int64),
        names=[hashlib.sha256(np.ascontiguousarray(image).tobytes()).hexdigest()[:16] for image in pixels],
        class_names=tuple(class_names),
        in_files=False,
    )


# --- photographs -------------------------------------------------------------------------------------------------


class _Flowers(datasets.Flowers102):  # type: ignore[misc]
    def _check_integrity(self) -> bool:
        return True


def flowers(root: Path, split: str) -> Examples:
    """Flowers102: labels are 1..102 in the file, 0..101 here."""
    found = _Flowers(root, split=split)
    names = getattr(found, "classes", None) or [str(number) for number in range(1, 103)]  # named since torchvision 0.22
    return in_files(root, found._image_files, found._labels, names)


BANNER_PX = 20


def without_banner(path: Path) -> Image.Image:
    """An image of FGVC-Aircraft without the 20-pixel credit at its bottom, as the data set's authors ask."""
    image = as_stored(path)
    return image.crop((0, 0, image.width, image.height - BANNER_PX))


def aircraft(root: Path, split: str) -> Examples:
    """FGVC-Aircraft at the level of variants."""
    found = datasets.FGVCAircraft(root, split=split, annotation_level="variant")
    return in_files(root, found._image_files, found._labels, found.classes, without_banner)


def cars(root: Path, split: str) -> Examples:
    """Stanford Cars in the layout of torchvision."""
    found = datasets.StanfordCars(root, split=split)
    paths, labels = zip(*found._samples, strict=True)
    return in_files(root, paths, [int(label) for label in labels], found.classes)


class _Stl10(datasets.STL10):  # type: ignore[misc]
    def _check_integrity(self) -> bool:
        return True


def stl10(root: Path, split: str) -> Examples:
    """STL-10; labels are 1..10 in the file, 0..9 here. A label of 0 shows as 255."""
    found = _Stl10(root, split=split)
    return in_memory(found.data.transpose(0, 2, 3, 1), found.labels, getattr(found, "classes", STL10_CLASSES))


def gtsrb(root: Path, split: str) -> Examples:
    """GTSRB: classes are the numbered folders of the training images."""
    found = datasets.GTSRB(root, split=split)
    paths, labels = zip(*found._samples, strict=True)
    folders = sorted(path.name for path in (root / "gtsrb/GTSRB/Training").iterdir() if path.is_dir())
    return in_files(root, paths, labels, folders)


def dtd(root: Path, split: str) -> Examples:
    """Describable Textures, partition 1 of 10."""
    found = datasets.DTD(root, split=split)
    return in_files(root, found._image_files, found._labels, found.classes)


def resisc45(root: Path, split: str) -> Examples:
    """RESISC45: one folder per class, and the three lists of Neumann et al. 2019 that torchgeo uses too."""
    listed = (root / f"resisc45-{split}.txt").read_text(encoding="utf-8").split()
    folders = sorted(path.name for path in (root / "NWPU-RESISC45").iterdir() if path.is_dir())
    index = {name: number for number, name in enumerate(folders)}
    classes = [name.rpartition("_")[0] for name in listed]
    unknown = sorted(set(classes) - set(index))
    if unknown:
        raise ValueError(f"resisc45-{split}.txt names {unknown[0]!r}, which is no folder")
    paths = [root / "NWPU-RESISC45" / folder / name for folder, name in zip(classes, listed, strict=True)]
    return in_files(root, paths, [index[name] for name in classes], folders)


def imagenet(root: Path, split: str) -> Examples:
    """ImageNet-1k as folders of WordNet identifiers, whose order is that of torchvision's and timm's classes."""
    found = ClassFolders(root / split)
    paths, labels = zip(*found.samples, strict=True)
    return in_files(root, paths, labels, found.classes)


# --- arrays ------------------------------------------------------------------------------------------------------


class _Svhn(datasets.SVHN):  # type: ignore[misc]
    def _check_integrity(self) -> bool:
        return True


def svhn(root: Path, split: str) -> Examples:
    """SVHN, cropped digits: the digit 0 is stored as 10."""
    found = _Svhn(root, split=split)
    return in_memory(found.data.transpose(0, 2, 3, 1), found.labels, DIGITS)


def _without_checksums(kind: Any) -> Any:
    """Torchvision's CIFAR-10 or -100 with its comparison of checksums switched off."""
    body = {"_check_integrity": lambda _: True, "meta": kind.meta | {"md5": None}}
    return type(kind.__name__, (kind,), body)


def cifar10(root: Path, split: str) -> Examples:
    """CIFAR-10, pickled batches."""
    return _cifar(_without_checksums(datasets.CIFAR10)(root, train=split == "train"))


def cifar100(root: Path, split: str) -> Examples:
    """CIFAR-100 with its fine labels, pickled batches."""
    return _cifar(_without_checksums(datasets.CIFAR100)(root, train=split == "train"))


def _cifar(found: Any) -> Examples:
    return in_memory(found.data, found.targets, found.classes)


def mnist(root: Path, split: str) -> Examples:
    """MNIST, idx files."""
    found = datasets.MNIST(root, train=split == "train")
    return in_memory(found.data.numpy(), found.targets.numpy(), DIGITS)


def usps(root: Path, split: str) -> Examples:
    """USPS, libsvm text in bz2; labels are 1..10 in the file, 0..9 here."""
    found = datasets.USPS(root, train=split == "train")
    return in_memory(found.data, found.targets, DIGITS)
