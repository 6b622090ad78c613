"""Images that the suite holds out of an official split to choose by.

Indices into the loader's order are committed as lists (`lists/`), drawn once by `draw` below. Tracks have names, not
places, so which of them are held out follows from the SHA-256 of a name. What was picked enters `data_sha` of a row.
"""

import hashlib
import random
from collections.abc import Sequence
from pathlib import PurePosixPath

import torch
from torch import Tensor

VAL_FRACTION = 0.1
"""PAINT holds out 10 %, at most 5,000 (mlfoundations/patching, src/datasets/registry.py)."""

VAL_LIMIT = 5000


def draw(name: str, count: int) -> list[int]:
    """Ascending indices of `min(10 %, 5,000)` of `count` images; the seed is the data set's name."""
    size = min(VAL_LIMIT, round(VAL_FRACTION * count))
    return sorted(random.Random(f"{name} val").sample(range(count), size))


def as_text(name: str, count: int) -> str:
    """The file of a list: how it was drawn, then twenty indices a line."""
    indices = draw(name, count)
    head = f"# {len(indices)} of {count} indices held out of {name}: random.Random('{name} val').sample\n"
    lines = (" ".join(map(str, indices[at : at + 20])) for at in range(0, len(indices), 20))
    return head + "\n".join(lines) + "\n"


def track_of(name: str) -> str:
    """Track of a GTSRB image: `.../00014/00003_00029.ppm` is frame 29 of track 3 of class 14.

    >>> track_of("gtsrb/GTSRB/Training/00014/00003_00029.ppm")
    '00014/00003'
    """
    path = PurePosixPath(name)
    return f"{path.parent.name}/{path.stem.partition('_')[0]}"


def held_tracks(names: Sequence[str], labels: Tensor) -> list[int]:
    """Ascending indices of all frames of a tenth of each class's tracks, at least one and never all of them."""
    tracks = [track_of(name) for name in names]
    held: set[str] = set()
    for label in labels.unique():
        of_class = sorted({tracks[int(i)] for i in torch.nonzero(labels == label)[:, 0]}, key=_rank)
        held.update(of_class[: min(max(1, round(VAL_FRACTION * len(of_class))), len(of_class) - 1)])
    return [index for index, track in enumerate(tracks) if track in held]


def held_and_kept(held: Sequence[int], count: int) -> tuple[Tensor, Tensor]:
    """Indices that are held out of `count` images, as they come, and the others, ascending.

    >>> held_and_kept([3, 1], 5)
    (tensor([3, 1]), tensor([0, 2, 4]))
    """
    kept = torch.ones(count, dtype=torch.bool)
    kept[held] = False
    return torch.tensor(held), torch.nonzero(kept)[:, 0]


def _rank(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()
