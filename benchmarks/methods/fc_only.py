"""FC-only: a new linear head on frozen features (Table 8's first row and the natural lower reference)."""

from dataclasses import dataclass

from benchmarks.methods.base import Cell, Outcome
from benchmarks.methods.frozen import measure_patch
from benchmarks.recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class FcOnly:
    """Train the head alone; the backbone and its BatchNorm stay as they are."""

    recipe: Recipe
    name: str = "fc_only"
    variant: str = ""
    n_delta_modules: int = 0

    def measure(self, cell: Cell) -> Outcome:
        """Train the head on the cell's task and measure task and base."""
        return measure_patch(cell, None, self.recipe)
