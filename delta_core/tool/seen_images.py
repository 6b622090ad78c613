"""Which images a patch has seen, and as what: `images.csv` in the patch folder, by file and by content."""

import csv
import hashlib
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from delta_core.patch_io import read_beside
from delta_core.training.data.splits import Part
from delta_core.training.errors import UserError

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


def read_seen(folder: Path, *, recorded: str = "") -> list[SeenImage]:
    """What `write_seen` wrote; empty where there is no list, as in patches of an earlier version.

    Args:
        folder: of the patch.
        recorded: its `seen_identity` as the record of the training says; empty where it does not say.

    Raises:
        UserError: if it is not the list of the training: images that were trained on might count as new.
        DeltaError: if it is a link, a pipe or too long.
    """
    data = read_beside(folder / NAME)
    if data is None:
        return []
    text = io.StringIO(data.decode("utf-8", errors="surrogateescape"), newline="")
    try:
        head, *lines = [tuple(line) for line in csv.reader(text)] or [()]
    except csv.Error:
        head, lines = (), []
    parts: dict[str, Part] = {part: part for part in get_args(Part)}
    is_list = head == COLUMNS and all(len(line) == len(COLUMNS) and line[0] in parts for line in lines)
    seen = [SeenImage(part=parts[line[0]], content=line[1], file=line[2]) for line in lines] if is_list else []
    if not is_list or (recorded and recorded != seen_identity(seen)):
        raise UserError(
            f"{str(folder / NAME)!r} is damaged, and says which images were trained on; copy the patch folder again."
        )
    return seen


def seen_identity(images: Iterable[SeenImage]) -> str:
    """SHA-256 of what a list says of contents; names have no part in it, for lists are shared without them."""
    return hashlib.sha256("".join(f"{image.part},{image.content}\n" for image in images).encode()).hexdigest()
