"""A data set of the catalogue as a task: its own splits, held-out images where it has no validation split."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import ConcatDataset, Dataset, Subset

from benchmarks.data.augmentation import augmented
from benchmarks.data.catalogue.check import data_sha, open_splits
from benchmarks.data.catalogue.entry import DataSet, Examples
from benchmarks.data.catalogue.held_out import held_and_kept, held_tracks
from delta_core.training.data.pixels import PixelStore
from delta_core.training.data.splits import LazySplit, Split, TaskData, seen_in_views
from delta_core.training.errors import UserError
from delta_core.training.tensor_store import TensorStore
from delta_core.weights import Preprocessing

Part = tuple[Examples, Tensor]
"""Images of an official split and which of them, by index."""


def load_official(
    entry: DataSet,
    data_root: Path,
    preprocessing: Preprocessing,
    *,
    views: int,
    loader_workers: int = 0,
    store: TensorStore,
) -> TaskData:
    """Open a classification task of the catalogue.

    Args:
        entry: the data set.
        data_root: folder below which it lies.
        preprocessing: resize, crop and normalisation of the backbone's weights.
        views: of each training image: 0 = a fresh one in every epoch, in the data set's own augmentation if it has one,
            1 = resized and cropped, K = K fixed random ones.
        loader_workers: processes that decode images.
        store: where decoded images are kept.

    Raises:
        UserError: if the data on disk are not those that the catalogue declares.
    """
    parts = parts_of(entry, data_root)
    sha = data_sha(entry, data_root, parts)
    pixels = PixelStore(store=store, name=entry.name, data_sha=sha)

    def split(part: str, views: int = 1) -> Split:
        examples, indices = parts[part]
        lazy = LazySplit(
            images=Subset(examples.images, indices.tolist()),
            labels=examples.labels[indices],
            transform=preprocessing.resize_and_crop(),
            preprocessing=preprocessing,
            workers=loader_workers,
        )
        return seen_in_views(lazy, views, task=entry.name, keep=lambda images: pixels.keep(part, images))

    val = split("val")
    train = val if entry.train == entry.test else split("train", views)
    if entry.augmentation and not views:
        train = augmented(train, entry.augmentation)
    return TaskData(
        name=entry.name,
        classes=entry.classes,
        sha=sha,
        train=train,
        val=val,
        test=split("test"),
    )


def parts_of(entry: DataSet, data_root: Path) -> dict[str, Part]:
    """Training, validation and test images of the suite.

    Raises:
        UserError: if the data on disk are not those that the catalogue declares, or have no class per image.
    """
    if entry.metric != "top1":
        raise UserError(f"Data set {entry.name} is not for classification; its metric is {entry.metric}.")
    official = dict.fromkeys(split for split in (entry.train, entry.val, entry.test) if split)
    found = open_splits(entry, data_root, official)
    everything = {split: torch.arange(len(examples)) for split, examples in found.items()}
    train = found[entry.train]
    if entry.val is None:
        listed = entry.held_list()
        out = held_tracks(train.names, train.labels) if listed is None else listed
        held, kept = held_and_kept(out, len(train))
        if entry.test == entry.train:  # nothing is trained on these images
            return {"train": (train, held), "val": (train, held), "test": (train, kept)}
        return {"train": (train, kept), "val": (train, held), "test": (found[entry.test], everything[entry.test])}
    used = {"train": entry.train, "val": entry.val, "test": entry.test}
    return {part: (found[split], everything[split]) for part, split in used.items()}


def images_not_for_testing(entry: DataSet, data_root: Path) -> tuple[Dataset[Any], Tensor]:
    """Training and validation images in official order, with labels (N,): what Table 5 draws its rates from.

    Raises:
        UserError: if the data on disk are not those that the catalogue declares.
    """
    found = open_splits(entry, data_root, dict.fromkeys(split for split in (entry.train, entry.val) if split))
    images: Dataset[Any] = ConcatDataset([examples.images for examples in found.values()])
    return images, torch.cat([examples.labels for examples in found.values()])
