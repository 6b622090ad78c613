"""The state of a training loop on disk: a killed run goes on from its last epoch, bit for bit.

A file that is damaged is put aside and the training starts anew; one of another training is refused.
"""

import warnings
import zipfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from delta_core.training.errors import UserError
from delta_core.training.history import History, trained_state
from delta_core.training.whole_files import sweep_unfinished, whole_file

if TYPE_CHECKING:
    from lightning_fabric.plugins import Precision


@dataclass(frozen=True, kw_only=True)
class LoopState:
    """Everything that changes from one epoch to the next."""

    module: nn.Module
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    shuffle: torch.Generator
    """Draws the order of the batches."""
    precision: "Precision"
    """Fabric's plugin, which holds the gradient scale of 16-mixed."""
    history: History | None = None
    """Epochs so far, where the training keeps them."""
    identity: str = ""
    """Tells one training from another; only a state of the same is taken over."""

    def save(self, path: Path, *, epoch: int) -> None:
        """Write the state after an epoch, as a whole or not at all. Frozen parameters stay out."""
        state = {
            "epoch": epoch,
            "identity": self.identity,
            "module": trained_state(self.module),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "shuffle": self.shuffle.get_state(),
            "random": torch.get_rng_state(),  # dropout and its like draw from the default generator
            "precision": self.precision.state_dict(),
            "history": None if self.history is None else self.history.state_dict(),
        }
        with whole_file(path) as partial:
            torch.save(state, partial)

    def load(self, path: Path) -> int:
        """Take over the state in a file; returns the epochs that were done, 0 where there is none or it is damaged.

        A warning says that it is damaged, and where it was put.

        Raises:
            UserError: if the file is of another training.
        """
        sweep_unfinished(path.parent, of=path.name)
        state = _read(path)
        if state is None:
            return 0
        try:
            if state["identity"] != self.identity or state["module"].keys() != trained_state(self.module).keys():
                raise ValueError("another training")
            self.module.load_state_dict(state["module"], strict=False)
            self.optimizer.load_state_dict(state["optimizer"])
            self.schedule.load_state_dict(state["schedule"])
            self.shuffle.set_state(state["shuffle"])
            torch.set_rng_state(state["random"])
            self.precision.load_state_dict(state["precision"])
            if self.history is not None:
                self.history.load_state_dict(state["history"])
            return int(state["epoch"])
        except (RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(
                f"Checkpoint {str(path)!r} is of another training ({type(error).__name__}); delete it to start anew."
            ) from error


def _read(path: Path) -> dict[str, Any] | None:
    """What `torch.save` wrote, or None if that is not there or not what is read; then it lies under another name.

    torch writes the CRC-32 of each tensor and does not compare them; zipfile does.
    """
    if not path.exists():
        return None
    content = BytesIO(path.read_bytes())
    try:
        with zipfile.ZipFile(content) as records:
            if damaged := records.testzip():
                raise zipfile.BadZipFile(damaged)
        content.seek(0)
        state: dict[str, Any] = torch.load(content, map_location="cpu", weights_only=True)
    except Exception:  # noqa: BLE001 - zipfile and torch raise many kinds at damaged files
        aside = path.with_name(f"{path.name}.damaged")
        path.replace(aside)
        warnings.warn(
            f"Checkpoint {str(path)!r} is damaged: kept as {aside.name!r}, training starts anew.", stacklevel=3
        )
        return None
    return state
