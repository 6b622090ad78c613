"""What a folder holds for detection or segmentation, whatever its layout."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from PIL import Image

from benchmarks.data.catalogue.voc import CLASSES as VOC_CLASSES
from delta_core.training.errors import UserError

Kind = Literal["detection", "segmentation"]
Format = Literal["voc", "segnet", "coco"]
FORMATS: tuple[Format, ...] = ("voc", "segnet", "coco")
PICTURES = (".jpg", ".jpeg", ".png")
"""Endings of image files, in any case."""


@dataclass(frozen=True, kw_only=True)
class DenseSplit:
    """Where the images of a split lie, relative to the root of the data."""

    images: str
    annotations: str
    """Folder of the boxes (XML) or masks (PNG), or a file of COCO's (JSON)."""
    names: str = ""
    """File that lists the names; empty: all of the folder, or of the JSON file."""


@dataclass(frozen=True, kw_only=True)
class DenseData:
    """Data of one task."""

    root: Path
    format: Format
    train: tuple[DenseSplit, ...]
    test: DenseSplit
    train_images: int
    """Of all splits to train on."""
    classes: tuple[str, ...]
    """Without the ground of segmentation."""
    has_ground: bool = False
    """Whether the masks count classes from 1 and ground is 0."""
    ignore_index: int = 255
    """Value of mask pixels that are not scored."""
    image_size: tuple[int, int]
    """Long and short side in pixels: the largest of a sample."""
    is_drawn: bool = False

    @property
    def is_voc(self) -> bool:
        """Whether these are PASCAL VOC's own classes, all of them: mmdet's and mmseg's rules for VOC apply."""
        return self.format == "voc" and self.classes == VOC_CLASSES

    @property
    def scored_classes(self) -> tuple[str, ...]:
        """Classes of segmentation, in the order of the masks' values."""
        return ("background", *self.classes) if self.has_ground else self.classes


def picture(folder: Path, name: str) -> Path:
    """The image of that name in a folder, whatever its ending.

    Raises:
        UserError: if there is none.
    """
    for ending in PICTURES:
        for path in (folder / f"{name}{ending}", folder / f"{name}{ending.upper()}"):
            if path.is_file():
                return path
    raise UserError(f"{str(folder)!r} has no image {name!r}; expected a file {name}{', '.join(PICTURES)}.")


def pictures_in(folder: Path) -> list[Path]:
    """Image files of a folder, by name."""
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURES)


def size_of(images: list[Path], sample: int = 20) -> tuple[int, int]:
    """Long and short side of the largest of the first images.

    Raises:
        UserError: naming an image that cannot be read.
    """
    sizes = []
    for path in images[:sample]:
        try:
            with Image.open(path) as image:
                sizes.append(image.size)
        except OSError as error:
            raise UserError(f"Image {str(path)!r} cannot be read; replace it or take it out of the data.") from error
    return max(max(size) for size in sizes), max(min(size) for size in sizes)


def require(root: Path, *parts: str) -> None:
    """Raise UserError naming the first part of a data set that is not below its root."""
    for part in parts:
        if not (root / part).exists():
            raise UserError(f"{str(root)!r} is no whole data set: {part} is missing; put it there or name another.")


def same_classes(root: Path, train: set[str], test: set[str]) -> None:
    """Raise UserError where the test split has classes that nothing trains on."""
    if lone := sorted(test - train):
        raise UserError(
            f"{str(root)!r} has the class {lone[0]!r} in its test images alone, so that nothing could learn it; "
            "move images, or leave the class out."
        )
