"""Whether the labels of a user's base data are those of the net's own head: an untouched net must beat chance on them.

Labels of another list (another order, other classes) give accuracies about 0, before and after: no drop to be seen.
"""

from math import comb
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from benchmarks.data.listed_images import listed_images
from delta_core.training.data.folders import open_parts
from delta_core.training.data.splits import LazySplit, PartOfSplit, eval_batches
from delta_core.training.engine import predict
from delta_core.training.errors import UserError
from delta_core.weights import preprocessing_of

SAMPLE = 256
"""Images looked at, evenly over all."""

LUCK = 1e-3
"""Share of guessers who may do as well."""


def check_base_labels(name: str, root: Path, net: nn.Module) -> None:
    """Refuse a base folder whose labels the untouched net does not know.

    Args:
        name: of the base task.
        root: folder with labels.csv, or with train/ and test/ (or val/) of one folder a class.
        net: on the CPU.

    Raises:
        UserError: for another number of classes than the head has, or as few right answers as chance gives.
    """
    classes: int = net.num_classes  # type: ignore[assignment]
    images, labels = _test_images(name, root, classes)
    preprocessing = preprocessing_of(net)
    whole = LazySplit(
        images=images, labels=labels, transform=preprocessing.resize_and_crop(), preprocessing=preprocessing
    )
    places = torch.linspace(0, len(labels) - 1, min(SAMPLE, len(labels))).long()
    sample = PartOfSplit(whole=whole, places=places)
    answers = predict(net, eval_batches(sample, torch.device("cpu"))).argmax(1)
    right = int((answers == sample.labels).sum())
    if right < len(places) and right <= by_luck(len(places), 1 / classes):
        raise UserError(
            f"The untouched net is right on {right} of {len(places)} images of --base {str(root)!r}, no more than by "
            f"chance, so their labels are not those of its {classes:,} classes; give each its index of the head "
            "(ImageNet's order) in labels.csv, or the folder without labels as --base-images."
        )


def by_luck(n: int, p: float) -> int:
    """The largest number of right answers out of n that guessing, right with probability p, reaches as often as `LUCK`.

    >>> by_luck(50, 1 / 1000), by_luck(256, 1 / 1000), by_luck(100, 0.5)
    (2, 3, 65)
    """
    at_least = 1.0
    for right in range(n + 1):
        at_least -= comb(n, right) * p**right * (1 - p) ** (n - right)
        if at_least < LUCK:
            return right
    return n


def _test_images(name: str, root: Path, classes: int) -> tuple[Dataset[Any], Tensor]:
    """Images of the test split, and their labels (N,)."""
    if (root / "labels.csv").is_file() or not (root / "train").is_dir():
        images = listed_images(root, classes)
        return images, torch.tensor(images.labels)
    part = open_parts(name, root)["test"]
    if len(part.folder.classes) != classes:
        raise UserError(
            f"--base {str(root)!r} holds {len(part.folder.classes):,} classes and the net's head has {classes:,}: its "
            "folders are no labels of that head; give a labels.csv (file, index of the head), or the folder without "
            "labels as --base-images."
        )
    return part.images, part.labels
