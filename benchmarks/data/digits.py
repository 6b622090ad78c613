"""MNIST, USPS and SVHN as `benchmarks fetch` or torchvision lays them out on disk; read, counted, never downloaded."""

import hashlib
from pathlib import Path

import torch
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as TF

from benchmarks.data.catalogue import data_set
from benchmarks.data.catalogue.check import open_splits
from benchmarks.data.catalogue.entry import Examples
from benchmarks.data.catalogue.held_out import held_and_kept
from benchmarks.data.catalogue.look_alikes import declared_at
from benchmarks.data.catalogue.readers import Pixels
from delta_core.training.data.splits import TaskData, TensorSplit
from delta_core.training.errors import UserError
from delta_core.training.identity import derive_seed
from delta_core.weights import Preprocessing

DIGITS = ("mnist", "usps", "svhn")

_HOMES = {"mnist": ("mnist", ""), "usps": ("usps", "USPS"), "svhn": ("svhn", "SVHN")}
"""Folder of a set below the data root, which torchvision calls its root: as the catalogue has it, or a user may."""

VAL_SHARE = 0.1
"""Of the training images of a part of a set, picked by a fixed seed; the full sets have committed lists."""


def digits_home(name: str, root: Path) -> Path:
    """Folder of a set below `root`. Raises UserError with the command that fetches it if it is nowhere whole."""
    for home in _HOMES[name]:
        if all((root / home / file).is_file() for file in data_set(name).needs):
            return root / home
    raise UserError(f"{name}, run: python -m benchmarks fetch {name} --data-root {root}")


def digits_identity(name: str, root: Path) -> str:
    """Hash of the names and sizes of a set's files."""
    files = [digits_home(name, root) / file for file in data_set(name).needs]
    listing = "".join(f"{file.name}|{file.stat().st_size}\n" for file in files)
    return hashlib.sha256(listing.encode()).hexdigest()[:12]


def load_digits(name: str, root: Path, preprocessing: Preprocessing, *, full: bool) -> TaskData:
    """Images resized to the net's input, grey ones repeated on three channels.

    Args:
        name: one of `DIGITS`.
        root: data root, below which the set lies.
        preprocessing: size and normalisation.
        full: demand the official files where `fetch` leaves them, and hold out the images of the committed list.

    Raises:
        UserError: if files are missing or, with `full`, are not those that the catalogue declares.
    """
    entry = data_set(name)
    if full:
        entry = declared_at(entry, root)
        found = open_splits(entry, root, entry.counts)
    else:
        home = digits_home(name, root)
        found = {split: entry.read(home, split) for split in entry.counts}
    images, test_images = (_pixels(found[split]) for split in ("train", "test"))
    labels, test_labels = found["train"].labels, found["test"].labels
    sha = hashlib.sha256()
    for part in (images, labels, test_images, test_labels):
        sha.update(part.numpy().tobytes())
    listed = entry.held_list() if full else None
    val, train = _drawn(name, len(labels)) if listed is None else held_and_kept(listed, len(labels))

    def split(images: Tensor, labels: Tensor) -> TensorSplit:
        size = [preprocessing.image_size] * 2
        resized = TF.resize(images, size, interpolation=v2.InterpolationMode.BICUBIC, antialias=True)
        resized = resized.expand(-1, 3, -1, -1).contiguous()
        return TensorSplit(inputs=resized, labels=labels, preprocessing=preprocessing)

    return TaskData(
        name=name,
        classes=entry.classes,
        sha=sha.hexdigest()[:12],
        train=split(images[train], labels[train]),
        val=split(images[val], labels[val]),
        test=split(test_images, test_labels),
    )


def _drawn(name: str, count: int) -> tuple[Tensor, Tensor]:
    """Indices of the images that are held out of a part of a set, and of the others."""
    order = torch.randperm(count, generator=torch.Generator().manual_seed(derive_seed("val", name)))
    held, kept = order.tensor_split([round(VAL_SHARE * count)])
    return held, kept


def _pixels(examples: Examples) -> Tensor:
    """Images (N, 1 or 3, h, w) uint8."""
    assert isinstance(examples.images, Pixels), "digits come as arrays"
    images = torch.as_tensor(examples.images.pixels)
    return images[:, None] if images.ndim == 3 else images.permute(0, 3, 1, 2)
