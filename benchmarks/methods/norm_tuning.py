"""Norm tuning (Frankle et al. 2021): residual adapters without adapters, the task's own norms alone."""

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from benchmarks.methods.adapted import AdaptedMethod, own_norms


@dataclass(frozen=True, kw_only=True)
class NormTuning(AdaptedMethod):
    """Train the affines of all norms and the head; BatchNorms gather statistics of the task."""

    name: ClassVar[str] = "norm_tuning"

    def adapt(self, net: nn.Module) -> None:
        """Give the task its own norms."""
        own_norms(net)
