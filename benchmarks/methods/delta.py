"""Delta-Networks (n): input-conditioned skip connections on the last n blocks (paper, Section 2)."""

from dataclasses import dataclass
from typing import ClassVar

from benchmarks.methods.base import Cell, Method, Outcome
from benchmarks.methods.frozen import measure_patch
from delta_core import DeltaConfig


@dataclass(frozen=True, kw_only=True)
class DeltaNetworks(Method):
    """Train modules, their BatchNorm and the head on the untouched backbone."""

    name: ClassVar[str] = "delta_networks"
    config: DeltaConfig
    reading: str
    """`default` = what measured best (delta_core/DECISIONS.md), `paper` = the literal reading of the paper, or the
    name of an arm of a study."""

    @property
    def variant(self) -> str:
        """The reading is the arm."""
        return self.reading

    @property
    def n_delta_modules(self) -> int:
        """Number of gated blocks, counted from the last."""
        return self.config.n_modules

    def measure(self, cell: Cell) -> Outcome:
        """Train a patch on the cell's task and measure task and base."""
        return measure_patch(cell, self.config, self.recipe)
