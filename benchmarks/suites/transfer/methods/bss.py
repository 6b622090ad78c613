"""BSS: batch spectral shrinkage, features that carry little are pressed to zero.

Chen et al., "Catastrophic Forgetting Meets Negative Transfer", NeurIPS 2019; thuml/Transfer-Learning-Library, bss.py.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.methods.base import Cell
from benchmarks.suites.transfer.methods.base import Transfer
from benchmarks.suites.transfer.methods.tap import Tap
from delta_core import JointDelta
from delta_core.training.objective import Objective


@dataclass(frozen=True, kw_only=True)
class Bss(Transfer):
    """CE + trade_off * (sum of the squares of the k smallest singular values of the batch's features)."""

    name: ClassVar[str] = "bss"
    trade_off: float = 0.001
    k: int = 1

    def prepare(self, net: JointDelta, cell: Cell) -> Objective:  # noqa: ARG002, D102
        return BssObjective(net, self.trade_off, self.k)


class BssObjective(Objective):
    """Loss of `Bss`."""

    def __init__(self, net: JointDelta, trade_off: float, k: int) -> None:
        self.trade_off, self.k, self.pooled = trade_off, k, Tap(net.head)

    def loss(self, module: nn.Module, inputs: Tensor, labels: Tensor, index: Tensor) -> Tensor:  # noqa: ARG002, D102
        logits = module(inputs)
        return F.cross_entropy(logits, labels) + self.trade_off * smallest_energy(self.pooled.taken_in, self.k)


def smallest_energy(features: Tensor, k: int) -> Tensor:
    """Sum of the squares of the k smallest singular values of features (B, F).

    >>> smallest_energy(torch.diag(torch.tensor([5.0, 3.0, 2.0])), k=2).item()
    13.0
    """
    values: Tensor = torch.linalg.svdvals(features)
    return values[-k:].square().sum()
