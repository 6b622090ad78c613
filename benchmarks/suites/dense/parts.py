"""Parts of a test set that Table 7 is broken down by: classes, and objects of a size."""

from dataclasses import dataclass
from typing import Literal

SIZES: dict[str, tuple[int, int]] = {"small": (0, 32), "medium": (32, 96), "large": (96, 10**5)}
"""COCO's: an object's area lies between the squares of these, in pixels of the stored image."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """What was scored on one part of a test set."""

    kind: Literal["class", "size"]
    name: str
    value: float
    """Per cent: AP of its objects (for a size, the mean over the classes that have any), or IoU of its pixels."""
    n_examples: int
    """Objects of the part, or pixels that are annotated as the class."""

    def column(self, task: str) -> str:
        """Name among the columns of a task.

        >>> Part(kind="size", name="small", value=12.5, n_examples=40).column("detection:bccd")
        'detection:bccd/size/small'
        """
        return f"{task}/{self.kind}/{self.name}"
