"""Which images a patch has seen, and as what: `images.csv` in the patch folder, by file and by content."""

import csv
import hashlib
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from delta_core.training.data.splits import Part

NAME = "images.csv"
COLUMNS = ("part", "content", "file")


@dataclass(frozen=True, kw_only=True)
class SeenImage:
    """One image file of a training."""

    part: Part
    """What it was for: `train`; `val`, on which training was followed; `test`, on which accuracy was measured."""
    content: str
    """See `content_of`."""
    file: str
    """Path below the image folder, with slashes; empty where the patch was shared without it."""


def content_of(path: Path) -> str:
    """First 16 hexadecimal digits of the SHA-256 of a file: the same wherever a copy lies and whatever it is called."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def seen_as(part: Part, files: Iterable[Path], root: Path) -> list[SeenImage]:
    """Files below a folder, as what a training has seen them."""
    return [SeenImage(part=part, content=content_of(file), file=file.relative_to(root).as_posix()) for file in files]


def twins_in_training(images: Sequence[SeenImage]) -> list[SeenImage]:
    """Measured images that are, byte for byte, among the images trained on."""
    trained = {image.content for image in images if image.part == "train"}
    return [image for image in images if image.part == "test" and image.content in trained]


def seen_as_csv(images: Iterable[SeenImage]) -> bytes:
    """Content of `images.csv`."""
    stream = io.StringIO(newline="")
    table = csv.writer(stream, lineterminator="\n")
    table.writerow(COLUMNS)
    table.writerows((image.part, image.content, image.file) for image in images)
    return stream.getvalue().encode("utf-8", errors="surrogateescape")  # names of files need not be UTF-8


def write_seen(folder: Path, images: Iterable[SeenImage]) -> None:
    """Write `images.csv` into a folder."""
    (folder / NAME).write_bytes(seen_as_csv(images))


def read_seen(folder: Path) -> list[SeenImage]:
    """What `write_seen` wrote; empty where an earlier version made the patch, or the list cannot be read."""
    try:
        with (folder / NAME).open(encoding="utf-8", errors="surrogateescape", newline="") as stream:
            head, *lines = [tuple(line) for line in csv.reader(stream)] or [()]
    except (OSError, csv.Error):
        return []
    parts: dict[str, Part] = {part: part for part in get_args(Part)}
    if head != COLUMNS or any(len(line) != len(COLUMNS) or line[0] not in parts for line in lines):
        return []
    return [SeenImage(part=parts[part], content=content, file=file) for part, content, file in lines]
