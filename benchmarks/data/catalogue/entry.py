"""What the suite knows of a data set before it has seen a byte of it: one declarative entry each."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from torch.utils.data import Dataset

from benchmarks.data.augmentation import Augmentation
from benchmarks.records.names import LOOK_ALIKE

Metric = Literal["top1", "map50_11point", "miou"]


@dataclass(frozen=True, kw_only=True)
class Examples:
    """One official split as it lies on disk."""

    images: Dataset[Any]
    """Item i is a tuple whose first element is an RGB image, PIL or (H, W, 3) uint8."""
    labels: Tensor
    """Class indices (N,) int64; empty where an image has no single class (detection, segmentation)."""
    names: Sequence[str]
    """What tells one image from another: a path below the data set's folder, or the hash of its pixels."""
    class_names: tuple[str, ...]
    in_files: bool = True
    """Whether `names` are files."""
    annotations: Sequence[str] = ()
    """Paths below the data set's folder of the boxes or masks, one for each image, where labels are kept so."""
    classes_in: Callable[[int], set[int]] | None = None
    """Classes that the annotation of image i names, where there is no single one."""

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True, kw_only=True)
class Download:
    """One file that everybody may fetch, from the first of its mirrors that gives the right bytes."""

    path: str
    """Where it is kept below the data set's folder."""
    urls: tuple[str, ...]
    digest: str
    """`md5:...` or `sha256:...`; empty where nobody has published one."""
    unpack_to: str | None = None
    """Folder below the data set's folder into which an archive is unpacked."""
    at_most_mb: int = 3000
    """10^6 bytes that it does not exceed, rounded up; the largest of the catalogue has 2,754."""


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """A data set with its official splits, its classes and its metric; the suite asks nobody else for them."""

    name: str
    title: str
    folder: str
    """Below --data-root; data sets that come in one archive share it."""
    classes: int
    counts: dict[str, int]
    """Official split -> images."""
    read: Callable[[Path, str], Examples]
    """Folder of the data set and official split -> what lies there."""
    needs: tuple[str, ...]
    """Paths below the folder that are there once the data set is: what `plan` looks at."""
    licence: str
    metric: Metric = "top1"
    train: str = "train"
    """Official split that is trained on; where it is `test` too nothing is, and images are held out of that one."""
    val: str | None = None
    """Official split for choices; None: the suite holds out images of `train`."""
    test: str = "test"
    """Official split that is reported; without the images that are held out of it."""
    held_by: Literal["list", "track", "nothing"] = "list"
    """How images are held out: by a committed list of indices, or whole tracks of a video; detectors choose nothing."""
    augmentation: Augmentation | None = None
    """Of fresh training views, where those who compare on this data set have their own; None = PAINT's light crop."""
    downloads: tuple[Download, ...] = ()
    checksums: dict[str, str] = field(default_factory=dict)
    """File below the folder -> md5, of the files that `fetch --check` compares."""
    held_out: tuple[int, ...] | None = None
    """Indices into `train` that are held out; None = those of the committed list."""
    look_alike: bool = False
    """Made to rehearse on: images of a few of the classes alone."""
    recipe: str = ""
    """What a person does by hand where nothing can be fetched; sentences, `{folder}` stands for the folder."""

    @property
    def identity(self) -> str:
        """Twelve hexadecimal digits over everything that says which images a run sees: the same on every machine."""
        said: list[object] = [
            self.name,
            self.classes,
            sorted(self.counts.items()),
            self.train,
            self.val,
            self.test,
            self.held_by,
        ]
        said += [self.augmentation] if self.augmentation else []
        text = json.dumps(said) + "".join(map(str, self.held_list() or ()))
        digest = hashlib.sha256(text.encode()).hexdigest()[:12]
        return LOOK_ALIKE + digest if self.look_alike else digest

    @property
    def train_images(self) -> int:
        """Images that a pass over the suite's training split reads."""
        images = self.counts[self.train]
        if self.val is not None or self.held_by == "nothing":
            return images
        held = self.held_list()
        return images - (round(0.1 * images) if held is None else len(held))

    def held_list(self) -> list[int] | None:
        """Indices into `train` that a committed list holds out; None where there is no list."""
        if self.val is not None or self.held_by != "list":
            return None
        return list_of(self.name) if self.held_out is None else list(self.held_out)

    def at(self, data_root: Path) -> Path:
        """Folder of the data set."""
        return data_root / self.folder


LISTS = Path(__file__).parent / "lists"


def list_of(name: str) -> list[int]:
    """Indices of a committed list, ascending; its first line says how it was drawn."""
    lines = (LISTS / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    return [int(word) for line in lines[1:] for word in line.split()]


NO_LABELS = torch.empty(0, dtype=torch.int64)
