"""Delta-Networks (n): input-conditioned skip connections on the last n blocks (paper, Section 2)."""

from dataclasses import dataclass

from benchmarks.methods.base import Cell, Outcome
from benchmarks.methods.frozen import measure_patch
from benchmarks.recipe import Recipe
from delta_core import DeltaConfig


@dataclass(frozen=True, kw_only=True)
class DeltaNetworks:
    """Train modules, their BatchNorm and the head; `variant` says which reading of the paper the config is."""

    recipe: Recipe
    config: DeltaConfig
    variant: str
    """`default` = what measured best (delta_core/DECISIONS.md), `paper` = the literal reading."""
    name: str = "delta_networks"

    @property
    def n_delta_modules(self) -> int:
        """Number of gated blocks, counted from the last."""
        return self.config.n_modules

    def measure(self, cell: Cell) -> Outcome:
        """Train a patch on the cell's task and measure task and base."""
        return measure_patch(cell, self.config, self.recipe)
