"""Delta-Networks (n): input-conditioned skip connections on the last n blocks (paper, Section 2)."""

from dataclasses import dataclass
from typing import ClassVar

from benchmarks.methods.base import Cell, Method, Outcome
from benchmarks.methods.frozen import SHARE_OF_FULL_TRAINING, measure_patch
from benchmarks.nets.full_size import delta_params, prefix_shape
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

    def full_size_params(self, architecture: str) -> int:
        """Those of the modules and their BatchNorms."""
        return delta_params(architecture, self.config)

    @property
    def share_of_full_training(self) -> float:
        """Backward down to the first module."""
        return SHARE_OF_FULL_TRAINING.get(self.n_delta_modules, 1.0)

    def feature_shape(self, architecture: str, image_size: int) -> tuple[int, ...]:
        """What goes into the first block that changes."""
        return prefix_shape(architecture, self.config, image_size)

    def measure(self, cell: Cell) -> Outcome:
        """Train a patch on the cell's task and measure task and base."""
        return measure_patch(cell, self.config, self.recipe)
