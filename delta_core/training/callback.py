"""What hears how a training goes: `Callback`, whose methods the training loop calls through Lightning Fabric."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from delta_core.training.history import Epoch


class Callback:
    """Hears how a training goes; derive from it and override what you need.

    Random numbers of torch that it draws do not reach the training. An error that it raises ends the training.
    """

    def on_start(self, module: nn.Module, steps: int) -> None:
        """Training begins.

        Args:
            module: what is trained, in train mode: with stored features the part of the net behind them.
            steps: number of optimiser steps that were taken before an interruption, else 0.
        """

    def on_step(self, loss: Tensor, lr: float) -> None:
        """An optimiser step was taken.

        Args:
            loss: () mean over its batch, on the device; to read it there and then makes a GPU wait.
            lr: the highest rate of this step; those of other parameters rise and fall with it.
        """

    def on_epoch(self, epoch: Epoch) -> None:
        """An epoch has ended and was measured; with a checkpoint, its state is about to be kept."""

    def on_end(self) -> None:
        """Training has ended, or was broken off."""


class Apart:
    """A callback as Fabric calls it, whose random numbers do not reach the training."""

    def __init__(self, callback: Callback) -> None:
        self._callback = callback

    def __getattr__(self, hook: str) -> Callable[..., None]:
        method = getattr(self._callback, hook)

        def call(*args: Any) -> None:
            with torch.random.fork_rng(devices=[]):
                method(*args)

        return call
