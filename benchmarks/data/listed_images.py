"""Images of a base task that a table lists: labels.csv."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from delta_core.training.data.folders import folder_identity
from delta_core.training.data.image_files import read_image
from delta_core.training.data.splits import LazySplit, Split, TaskData, in_memory_if_small
from delta_core.training.errors import UserError
from delta_core.weights import Preprocessing


class ListedImages(Dataset[tuple[Image.Image, int]]):
    """Images named in a table, with their labels."""

    def __init__(self, root: Path, files: Sequence[str], labels: Sequence[int]) -> None:
        self.root, self.files, self.labels = root, files, labels

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        return read_image(self.root / self.files[index]), self.labels[index]

    def __len__(self) -> int:
        return len(self.files)


def load_listed_images(name: str, root: Path, preprocessing: Preprocessing, *, classes: int) -> TaskData:
    """Evaluation images of a base task: `root/labels.csv` with the columns file (relative to root) and index.

    Every fifth image is the validation split, the others are the test split; there is nothing to train on.

    Raises:
        UserError: if the table is missing, lacks a column or holds an index that the base head does not have.
    """
    table = _read_labels(root / "labels.csv", classes)
    held = torch.arange(len(table)) % 5 == 0

    def split(mask: Tensor) -> Split:
        images = _listed(root, table[mask.numpy()])
        labels = torch.tensor(images.labels)
        transform = preprocessing.resize_and_crop()
        return in_memory_if_small(
            LazySplit(images=images, labels=labels, transform=transform, preprocessing=preprocessing)
        )

    val = split(held)
    return TaskData(name=name, classes=classes, sha=folder_identity(root), train=val, val=val, test=split(~held))


def listed_images(root: Path, classes: int) -> ListedImages:
    """All images of a base task that `root/labels.csv` lists, with their labels.

    Raises:
        UserError: as `load_listed_images` does.
    """
    return _listed(root, _read_labels(root / "labels.csv", classes))


def _listed(root: Path, rows: pd.DataFrame) -> ListedImages:
    return ListedImages(root, rows["file"].tolist(), rows["index"].tolist())


def _read_labels(path: Path, classes: int) -> pd.DataFrame:
    if not path.is_file():
        raise UserError(f"Base data {str(path.parent)!r} needs a labels.csv with the columns file and index.")
    try:
        table = pd.read_csv(path)
    except (ValueError, OSError) as error:  # pandas' parser errors are ValueErrors
        raise UserError(
            f"{path} cannot be read ({type(error).__name__}); the columns file and index are needed."
        ) from error
    if not {"file", "index"} <= set(table.columns):
        raise UserError(f"{path} has the columns {', '.join(table.columns)}; file and index are needed.")
    if not pd.api.types.is_integer_dtype(table["index"]) or not table["index"].between(0, classes - 1).all():
        raise UserError(f"{path} holds a class index outside 0..{classes - 1}, the base head's classes.")
    if len(table) < 2:
        raise UserError(f"{path} lists {len(table)} images; at least two are needed, one to validate and one to test.")
    missing = [name for name in table["file"] if not (path.parent / str(name)).is_file()]
    if missing:
        raise UserError(f"{path} lists {len(missing)} images that are not there, first {missing[0]}.")
    return table
