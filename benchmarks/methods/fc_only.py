"""FC-only: a new linear head on frozen features (Table 8's first row and the natural lower reference)."""

from dataclasses import dataclass
from typing import ClassVar

from benchmarks.methods.base import Cell, Method, Outcome
from benchmarks.methods.frozen import SHARE_OF_FULL_TRAINING, measure_patch
from benchmarks.nets.full_size import prefix_shape


@dataclass(frozen=True, kw_only=True)
class FcOnly(Method):
    """Train the head alone; the backbone and its BatchNorm stay as they are."""

    name: ClassVar[str] = "fc_only"

    def full_size_params(self, architecture: str) -> int:  # noqa: ARG002
        """The head alone trains."""
        return 0

    @property
    def share_of_full_training(self) -> float:
        """No backward pass through the net."""
        return SHARE_OF_FULL_TRAINING[0]

    def feature_shape(self, architecture: str, image_size: int) -> tuple[int, ...]:
        """What goes into the head."""
        return prefix_shape(architecture, None, image_size)

    def measure(self, cell: Cell) -> Outcome:
        """Train the head on the cell's task and measure task and base."""
        return measure_patch(cell, None, self.recipe)
