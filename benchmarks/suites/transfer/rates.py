"""Which training images a rate keeps: nested per-class lists that are the same on every machine.

A list has one line per training image, in stored order: the smallest rate, in per cent, at which the image is used. So
15 % is a subset of 30 % by construction. The lists of drawn data are committed in `lists/`; those of other data follow
the same rule and go into each row by their hash. The lists of thuml/Transfer-Learning-Library are not public any more
(its issue 133), so ours are not theirs.
"""

import hashlib
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.records.names import PERCENTS
from delta_core.training.errors import UserError

LISTS = Path(__file__).parent / "lists"


def rate_list(task: str, labels: Tensor) -> list[int]:
    """The smallest rate that uses each training image: the committed list of a task, or the rule.

    Args:
        task: name of the task.
        labels: (N,) of all its training images, in stored order.

    Raises:
        UserError: if the committed list is of another number of images.
    """
    path = LISTS / f"{task}.txt"
    if not path.exists():
        return by_rule(task, labels)
    found = [int(line) for line in path.read_text(encoding="ascii").splitlines()]
    if len(found) != len(labels):
        raise UserError(
            f"{path} lists {len(found)} images but {task} has {len(labels)} to train on; give the task another name."
        )
    return found


def by_rule(task: str, labels: Tensor) -> list[int]:
    """Images of a class in the order of SHA-256(task/class/place in the class); rate p has the first p % of them.

    At least one image of each class is kept. No random generator is involved, so no version can change the lists.

    >>> by_rule("birds", torch.tensor([0] * 10 + [1]))
    [100, 15, 50, 100, 100, 100, 50, 100, 30, 15, 15]
    """
    smallest = [0] * len(labels)
    for label in labels.unique().tolist():
        members = torch.nonzero(labels == label)[:, 0].tolist()
        drawn = sorted(range(len(members)), key=lambda place: _digest(f"{task}/{label}/{place}"))
        for rank, place in enumerate(drawn):
            kept = (percent for percent in PERCENTS if rank < max(1, round(percent * len(members) / 100)))
            smallest[members[place]] = next(kept)
    return smallest


def places_at(rates: list[int], percent: int) -> Tensor:
    """Places (n,) in the training split that a rate uses, in stored order."""
    return torch.tensor([place for place, rate in enumerate(rates) if rate <= percent])


def to_text(rates: list[int]) -> str:
    """A list as its file holds it."""
    return "".join(f"{rate}\n" for rate in rates)


def list_sha(rates: list[int]) -> str:
    """First eight hexadecimal digits of the SHA-256 of a list's file."""
    return _digest(to_text(rates))[:8]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
