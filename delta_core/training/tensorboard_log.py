"""Scalars for TensorBoard: loss and learning rate of each step, accuracy and gates of each epoch.

`torch.utils.tensorboard` writes them with the package tensorboard, of the extra `log`.
"""

import os
import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from delta_core.patch import BlockPatch
from delta_core.training.callback import Callback
from delta_core.training.errors import UserError
from delta_core.training.history import Epoch

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

STEPS_AT_ONCE = 50
"""Losses that wait on the device before they are written, so that no step makes a GPU wait."""


class TensorBoardLog(Callback):
    """Writes how a training goes into a folder that `tensorboard --logdir` shows.

    Tags, over the number of optimiser steps: `loss/step` and `lr` of each step; after each epoch `loss/epoch` (mean
    over its images), `val/top1` where it was measured, in per cent, and `gates/mean/BLOCK` and `gates/sd/BLOCK` over
    all skips and images of the epoch as they were trained on. A training that goes on from a checkpoint goes on in the
    same folder, and what an interrupted one wrote beyond that checkpoint is no longer shown. One training a folder: a
    second one with the same log goes to `training-2` inside.

    Args:
        folder: made if it is not there.

    Raises:
        UserError: if tensorboard is missing, or the folder cannot be one.
    """

    def __init__(self, folder: str | Path) -> None:
        self._folder = Path(folder)
        check_log_dir(self._folder)
        self._trainings = 0

    def on_start(self, module: nn.Module, steps: int) -> None:
        """Open the file, and listen to the gates."""
        self._trainings += 1
        further = f"training-{self._trainings}" if self._trainings > 1 else ""
        self._writer = _writer(self._folder / further, purge_step=steps + 1)
        self._steps = steps
        self._waiting: list[tuple[Tensor, float]] = []
        self._gates = _Gates(module)

    def on_step(self, loss: Tensor, lr: float) -> None:
        """Keep loss and rate of a step, and write those of the last ones."""
        self._steps += 1
        self._waiting.append((loss, lr))
        if len(self._waiting) == STEPS_AT_ONCE:
            self._write_steps()

    def on_epoch(self, epoch: Epoch) -> None:
        """Write what an epoch came to, all the way to the disk."""
        self._write_steps()
        scalars = {"loss/epoch": epoch.train_loss} | self._gates.take()
        if epoch.val_top1 is not None:
            scalars["val/top1"] = epoch.val_top1
        _add(self._writer, scalars, self._steps)
        self._writer.flush()

    def on_end(self) -> None:
        """Close the file, with the last losses of a training that was broken off, and leave the net as it was."""
        self._gates.remove()
        with self._writer:
            self._write_steps()

    def _write_steps(self) -> None:
        if self._waiting:
            first = self._steps - len(self._waiting) + 1
            losses = torch.stack([loss for loss, _ in self._waiting]).tolist()
            for step, (loss, (_, lr)) in enumerate(zip(losses, self._waiting, strict=True), start=first):
                _add(self._writer, {"loss/step": loss, "lr": lr}, step)
            self._writer.flush()
            self._waiting.clear()


class _Gates:
    """Mean and spread of the gates of each block of a net, over all passes in train mode since they were last taken."""

    def __init__(self, net: nn.Module) -> None:
        self._seen: dict[str, list[tuple[int, Tensor]]] = {}
        parts = [part for part in net.modules() if isinstance(part, BlockPatch)]
        self._hooks = [part.gates.register_forward_hook(self._recorder(part.block.name)) for part in parts]

    def _recorder(self, block: str) -> Any:
        def record(module: nn.Module, _inputs: object, gates: Tensor) -> None:
            if module.training:
                moments = torch.stack(torch.var_mean(gates.detach().float(), correction=0))
                self._seen.setdefault(block, []).append((gates.numel(), moments))

        return record

    def take(self) -> dict[str, float]:
        """Scalars by tag."""
        scalars = {}
        for block, passes in self._seen.items():
            share = torch.tensor([count for count, _ in passes]).double()
            share /= share.sum()
            variances, means = torch.stack([moments for _, moments in passes]).cpu().double().unbind(1)
            mean = share @ means
            scalars[f"gates/mean/{block}"] = mean.item()
            scalars[f"gates/sd/{block}"] = (share @ (variances + (means - mean).square())).sqrt().item()
        self._seen.clear()
        return scalars

    def remove(self) -> None:
        """Listen no longer."""
        for hook in self._hooks:
            hook.remove()


def add_scalars(folder: Path, scalars: Mapping[str, float], step: int) -> None:
    """Write scalars of one step into a folder, beside what a training wrote there."""
    with _writer(folder) as writer:
        _add(writer, scalars, step)


def check_log_dir(folder: Path) -> None:
    """Raise UserError unless event files can be written below a folder, which need not be there yet."""
    if find_spec("tensorboard") is None:
        raise UserError(
            f"log dir is {str(folder)!r}, but the package tensorboard is missing, which writes there; "
            "run: pip install 'delta-patching[log]'"
        )
    existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        raise UserError(f"log dir {str(folder)!r} cannot be written into {str(existing)!r}; give another folder.")


def _writer(folder: Path, purge_step: int | None = None) -> "SummaryWriter":
    """A writer of a new file, which is read after those that are there: their names tell the order by seconds alone."""
    from torch.utils.tensorboard import SummaryWriter  # of an extra

    while any(folder.glob(f"events.out.tfevents.{int(time.time()):010}.*")):
        time.sleep(0.02)
    return SummaryWriter(str(folder), purge_step=purge_step)


def _add(writer: "SummaryWriter", scalars: Mapping[str, float], step: int) -> None:
    for tag, value in scalars.items():
        writer.add_scalar(tag, value, step)
