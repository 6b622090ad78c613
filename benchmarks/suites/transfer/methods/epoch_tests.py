"""Accuracy on the test split after every epoch: the best one is what Table 5 is taken to report."""

import time
from dataclasses import asdict
from typing import Any

from torch import nn

from benchmarks.methods.base import Cell, Measurement
from delta_core.training.history import Epoch


class EpochTests:
    """Hears of each epoch of a training, and measures what is trained on the cell's test images."""

    def __init__(self, net: nn.Module, cell: Cell, *, epochs: int) -> None:
        self.found: list[Measurement] = []
        self.seconds = 0.0
        """Time spent looking, which is not training."""
        self._net = net
        self._cell = cell
        self._epochs = epochs

    @property
    def is_over(self) -> bool:
        """The training goes on to its last epoch."""
        return False

    def add(self, number: int, train_loss: float, train_s: float) -> Epoch:
        """Look once."""
        started = time.perf_counter()
        self.found.append(self._cell.measure_task(self._net, "test"))
        self.seconds += time.perf_counter() - started
        return Epoch(number=number, epochs=self._epochs, train_loss=train_loss, val_top1=None, train_s=train_s)

    def state_dict(self) -> dict[str, Any]:
        """What was found, and the seconds that it took."""
        return {"found": [asdict(measurement) for measurement in self.found], "seconds": self.seconds}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        self.found = [Measurement(**measurement) for measurement in state["found"]]
        self.seconds = state["seconds"]
