"""MNIST, USPS and SVHN as `delta-bench fetch` or torchvision lays them out on disk; read, counted, never downloaded."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchvision import datasets
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as TF

from benchmarks.data.splits import TaskData, TensorSplit
from benchmarks.errors import UserError
from benchmarks.identity import derive_seed
from delta_core.weights import Preprocessing

DIGITS = ("mnist", "usps", "svhn")

_FILES = {
    "mnist": tuple(
        f"MNIST/raw/{part}-{kind}-ubyte" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")
    ),
    "usps": ("usps.bz2", "usps.t.bz2"),
    "svhn": ("train_32x32.mat", "test_32x32.mat"),
}
_HOMES = {"mnist": ("mnist", ""), "usps": ("usps", "USPS"), "svhn": ("svhn", "SVHN")}
"""Folder of a set below the data root, which torchvision calls its root: as the catalogue has it, or a user may."""
FULL_COUNTS = {"mnist": (60_000, 10_000), "usps": (7_291, 2_007), "svhn": (73_257, 26_032)}
"""Images of the official train and test splits."""

VAL_SHARE = 0.1
"""Of the training images, picked by a fixed seed; none of the three has a validation split."""


def digits_home(name: str, root: Path) -> Path:
    """Folder of a set below `root`. Raises UserError with the command that fetches it if it is nowhere whole."""
    for home in _HOMES[name]:
        if all((root / home / file).is_file() for file in _FILES[name]):
            return root / home
    raise UserError(f"{name}, run: delta-bench fetch {name} --data-root {root}")


def digits_identity(name: str, root: Path) -> str:
    """Hash of the names and sizes of a set's files."""
    files = [digits_home(name, root) / file for file in _FILES[name]]
    listing = "".join(f"{file.name}|{file.stat().st_size}\n" for file in files)
    return hashlib.sha256(listing.encode()).hexdigest()[:12]


def load_digits(name: str, root: Path, preprocessing: Preprocessing, *, full: bool) -> TaskData:
    """Images resized to the net's input, grey ones repeated on three channels.

    Args:
        name: one of `DIGITS`.
        root: data root, below which the set lies.
        preprocessing: size and normalisation.
        full: demand the official number of images.

    Raises:
        UserError: if files are missing or hold another number of images.
    """
    (images, labels), (test_images, test_labels) = _read(name, digits_home(name, root))
    found = (len(labels), len(test_labels))
    if full and found != FULL_COUNTS[name]:
        raise UserError(
            f"{name} below {root} has {found[0]} + {found[1]} images, the official set {FULL_COUNTS[name][0]} + "
            f"{FULL_COUNTS[name][1]}; give the full set, or use --scale local."
        )
    sha = hashlib.sha256()
    for part in (images, labels, test_images, test_labels):
        sha.update(part.numpy().tobytes())
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(derive_seed("val", name)))
    val, train = order.split([round(VAL_SHARE * len(labels)), len(labels) - round(VAL_SHARE * len(labels))])

    def split(images: Tensor, labels: Tensor) -> TensorSplit:
        size = [preprocessing.image_size] * 2
        resized = TF.resize(images, size, interpolation=v2.InterpolationMode.BICUBIC, antialias=True)
        resized = resized.expand(-1, 3, -1, -1).contiguous()
        return TensorSplit(inputs=resized, labels=labels, preprocessing=preprocessing)

    return TaskData(
        name=name,
        classes=10,
        sha=sha.hexdigest()[:12],
        train=split(images[train], labels[train]),
        val=split(images[val], labels[val]),
        test=split(test_images, test_labels),
    )


def _read(name: str, home: Path) -> list[tuple[Tensor, Tensor]]:
    """Images (N, 1 or 3, h, w) uint8 and labels (N,) of train and test."""
    match name:
        case "mnist":
            return [_tensors(datasets.MNIST(home, train=train)) for train in (True, False)]
        case "usps":
            return [_tensors(datasets.USPS(home, train=train)) for train in (True, False)]
        case _:
            return [_tensors(datasets.SVHN(home, split=split)) for split in ("train", "test")]


def _tensors(dataset: Any) -> tuple[Tensor, Tensor]:
    images = torch.as_tensor(np.asarray(dataset.data))
    images = images[:, None] if images.ndim == 3 else images
    labels = dataset.labels if hasattr(dataset, "labels") else dataset.targets
    return images, torch.as_tensor(np.asarray(labels)).long()
