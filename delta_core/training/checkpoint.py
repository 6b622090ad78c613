"""The state of a training loop on disk: a killed run goes on from its last epoch, bit for bit."""

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from delta_core.training.errors import UserError
from delta_core.training.history import History, trained_state

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
        """Write the state after an epoch, atomically. Frozen parameters stay out."""
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
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".tmp")
        torch.save(state, partial)
        partial.replace(path)

    def load(self, path: Path) -> int:
        """Take over the state in a file; returns the epochs that were done.

        Raises:
            UserError: if the file is damaged or of another training.
        """
        try:
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
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
        except (pickle.UnpicklingError, RuntimeError, ValueError, KeyError, EOFError) as error:
            raise UserError(
                f"Checkpoint {str(path)!r} is damaged or of another training ({type(error).__name__}); delete it to "
                "start anew."
            ) from error
