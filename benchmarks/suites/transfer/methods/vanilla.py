"""Vanilla fine-tuning: cross-entropy alone; with Delta-modules it is the paper's own row."""

from dataclasses import dataclass
from typing import ClassVar

from benchmarks.methods.base import Cell
from benchmarks.suites.transfer.methods.base import Transfer
from delta_core import DeltaConfig, JointDelta
from delta_core.training.objective import Objective


@dataclass(frozen=True, kw_only=True)
class Vanilla(Transfer):
    """Cross-entropy (thuml/Transfer-Learning-Library, erm.py)."""

    name: ClassVar[str] = "vanilla"

    def prepare(self, net: JointDelta, cell: Cell) -> Objective:  # noqa: ARG002, D102
        return Objective()


@dataclass(frozen=True, kw_only=True)
class VanillaDelta(Vanilla):
    """Delta (n): the same with Delta-modules (paper, Section 3.2 and Table 5)."""

    name: ClassVar[str] = "delta_networks"
    config: DeltaConfig
