"""The state of a training loop on disk: a killed run goes on from where it was written last, bit for bit.

A file that is damaged is put aside and the training starts anew; one of another training is refused.
"""

import time
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import nn

from delta_core.training.errors import UserError
from delta_core.training.history import trained_state
from delta_core.training.interrupts import heard_later
from delta_core.training.ranks import Ranks
from delta_core.training.whole_files import sweep_unfinished, whole_file

if TYPE_CHECKING:
    from lightning_fabric.plugins import Precision

EVERY_S = 300.0
"""Seconds of training that a kill may cost."""
END_FROM_S = 10.0
"""Seconds after which a training is worth keeping at its end, where others of the same run follow."""


class Stateful(Protocol):
    """What changes while a training goes on. Its state holds tensors, numbers, strings, lists and dicts alone."""

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to go on."""

    def load_state_dict(self, state: dict[str, Any]) -> object:
        """Take over what `state_dict` gave."""


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """Where a training keeps its state, and how often: at a step, every so many seconds, and when it is to end.

    Ctrl-C and SIGTERM wait for the step under way, after which the state is written; a second one does not wait.
    """

    path: Path
    identity: str = ""
    """Of the training; a file of another one is refused."""
    every_s: float = EVERY_S
    each_epoch: bool = True
    """Whether the state is written after each epoch, too; else after the last one, if all took `END_FROM_S`."""
    beside: Mapping[str, Stateful] = field(default_factory=dict)
    """What goes along with the training and is none of its parts, by name."""


@dataclass(frozen=True, kw_only=True)
class Position:
    """How far a training has come."""

    epoch: int = 0
    """Epochs that are done."""
    step: int = 0
    """Steps of the epoch under way that are done."""
    loss_sum: float = 0.0
    """Over the images of these steps."""
    train_s: float = 0.0
    """Seconds that these steps took."""


@dataclass(frozen=True, kw_only=True)
class LoopState:
    """Everything that changes from one step to the next."""

    module: nn.Module
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    shuffle: torch.Generator
    """Draws the order of the batches, at the beginning of an epoch."""
    precision: "Precision"
    """Fabric's plugin, which holds the gradient scale of 16-mixed."""
    beside: Mapping[str, Stateful] = field(default_factory=dict)
    identity: str = ""
    """Tells one training from another; only a state of the same is taken over."""
    device: torch.device
    ranks: Ranks
    """Processes that train together: all go by what the first one wrote."""

    def save(self, path: Path, position: Position, *, shuffle: torch.Tensor, at_end: bool = False) -> None:
        """Write the state, as a whole or not at all; all processes have to come here. Frozen parameters stay out.

        Args:
            path: of the file.
            position: what is done.
            shuffle: state of the generator of orders when the epoch under way began.
            at_end: whether no step follows, for which the optimiser would be needed.
        """
        state = {
            "position": asdict(position),
            "identity": self.identity,
            "module": trained_state(self.module),
            "optimizer": None if at_end else self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "shuffle": shuffle,
            "random": self.ranks.of_all(_random_state(self.device)),
            "precision": self.precision.state_dict(),
            "beside": {name: each.state_dict() for name, each in self.beside.items()},
        }
        if self.ranks.is_first:
            with whole_file(path) as partial:
                torch.save(state, partial)
        self.ranks.wait()  # whoever is to end goes by what lies there

    def load(self, path: Path) -> Position:
        """Take over the state in a file; returns what was done, nothing where there is none or it is damaged.

        A warning says that it is damaged, and where it was put.

        Raises:
            UserError: if the file is of another training, or of another number of processes.
        """
        if self.ranks.is_first:
            sweep_unfinished(path.parent, of=path.name)
        state = self.ranks.of_the_first(_read(path) if self.ranks.is_first else None)
        if state is None:
            return Position()
        if isinstance(state.get("random"), list) and len(state["random"]) != self.ranks.world_size:
            raise UserError(
                f"Checkpoint {str(path)!r} is of a training on {len(state['random'])} devices, and this one has "
                f"{self.ranks.world_size}; go on with as many, or delete it to start anew."
            )
        try:
            if state["identity"] != self.identity or state["module"].keys() != trained_state(self.module).keys():
                raise ValueError("another training")
            self.module.load_state_dict(state["module"], strict=False)
            if state["optimizer"] is not None:
                self.optimizer.load_state_dict(state["optimizer"])
            self.schedule.load_state_dict(state["schedule"])
            self.shuffle.set_state(state["shuffle"])
            _set_random_state(state["random"][self.ranks.number], self.device)
            self.precision.load_state_dict(state["precision"])
            for name, each in self.beside.items():
                each.load_state_dict(state["beside"][name])
            return Position(**state["position"])
        except (RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(
                f"Checkpoint {str(path)!r} is of another training ({type(error).__name__}); delete it to start anew."
            ) from error


def _random_state(device: torch.device) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Of the default generators, from which dropout and its like draw."""
    return torch.get_rng_state(), torch.cuda.get_rng_state(device) if device.type == "cuda" else None


def _set_random_state(state: tuple[torch.Tensor, torch.Tensor | None], device: torch.device) -> None:
    cpu, cuda = state
    torch.set_rng_state(cpu)
    if cuda is not None and device.type == "cuda":
        torch.cuda.set_rng_state(cuda, device)


class Keeper:
    """Writes the state of a loop when it is time; without a checkpoint it never is.

    Of several processes each asks the others after every step, so that all write and end at the same one.
    """

    def __init__(self, state: LoopState, checkpoint: Checkpoint | None) -> None:
        self.is_to_end = False
        """Whether somebody wants the processes to end, as of the last step."""
        self._state = state
        self._checkpoint = checkpoint
        self._asked: Callable[[], bool] = lambda: False
        self._began = self._written = time.monotonic()
        self._is_written = False

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Signals that want the process to end wait for a step inside, if there is a place for the state."""
        if self._checkpoint is None:
            yield
            return
        with heard_later() as self._asked:
            yield

    def after_step(self, position: Callable[[], Position] | None, shuffle: torch.Tensor) -> None:
        """Keep the state in the middle of an epoch, if it is time.

        Args:
            position: looks up what is done, which makes a GPU wait; None where nobody could go on from here.
            shuffle: as of `LoopState.save`.
        """
        if self._checkpoint is not None and self._is_time() and position is not None:
            self._write(position(), shuffle)

    def after_epoch(self, position: Position, *, is_last: bool) -> None:
        """Keep the state between two epochs, or at the end."""
        if self._checkpoint is None:
            return
        is_worth_it = self._is_written or time.monotonic() - self._began >= min(END_FROM_S, self._checkpoint.every_s)
        if self._is_time(always=self._checkpoint.each_epoch or (is_last and is_worth_it)):
            self._write(position, self._state.shuffle.get_state(), at_end=is_last and not self._checkpoint.each_epoch)

    def _is_time(self, *, always: bool = False) -> bool:
        """Whether the state is to be written now, in the opinion of any of the processes."""
        assert self._checkpoint is not None
        is_due = always or time.monotonic() - self._written >= self._checkpoint.every_s
        self.is_to_end = self._state.ranks.anywhere(self._asked())
        return self.is_to_end or self._state.ranks.anywhere(is_due)

    def _write(self, position: Position, shuffle: torch.Tensor, *, at_end: bool = False) -> None:
        assert self._checkpoint is not None
        self._state.save(self._checkpoint.path, position, shuffle=shuffle, at_end=at_end)
        self._written, self._is_written = time.monotonic(), True


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
