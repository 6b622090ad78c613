"""What a training was like, epoch by epoch, and early stopping: which epoch was the best, and when to give up."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """One epoch, as a progress callback hears of it."""

    number: int
    """From 1."""
    epochs: int
    """Number of epochs of the recipe."""
    train_loss: float
    """Mean over the images as they were trained on."""
    val_top1: float | None
    """Top-1 on the validation images after this epoch, in per cent; None without any."""
    train_s: float
    """Seconds of the epoch's steps, validation left out."""


class Watch(Protocol):
    """Hears of each epoch of a training before its state is kept, of which its own state is a part."""

    @property
    def is_over(self) -> bool:
        """Whether the training ends here."""

    def add(self, number: int, train_loss: float, train_s: float) -> Epoch:
        """Note the epoch that has just ended, after a look at what is trained."""

    def state_dict(self) -> dict[str, Any]:
        """Everything that a resumed training needs to know."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` gave."""


class History:
    """The epochs of one training. With `patience` it keeps the best epoch's weights and says when to stop.

    The best epoch is the last of those with the highest validation top-1: it has learned more, and lay 0.4 points above
    the first of them in test top-1 (60 trainings, 150 validation images each). Training is over when `patience` epochs
    in a row were not better than all before.

    Args:
        module: what learns.
        epochs: number of epochs of the recipe.
        measure: top-1 on the validation images with the module as it is now, in per cent; None without validation.
        patience: None trains all epochs and keeps the last one.
    """

    def __init__(
        self, module: nn.Module, *, epochs: int, measure: Callable[[], float] | None, patience: int | None = None
    ) -> None:
        self.epochs: list[Epoch] = []
        self._module = module
        self._planned = epochs
        self._measure = measure
        self._patience = patience
        self._best: dict[str, Tensor] = {}

    @property
    def kept(self) -> int:
        """Number of the epoch whose weights are kept: with `patience` the best one, else the last one."""
        if self._patience is None or not self.epochs:
            return len(self.epochs)
        return max(reversed(self.epochs), key=_val_top1).number

    @property
    def is_over(self) -> bool:
        """Whether early stopping ends the training here."""
        if self._patience is None or not self.epochs:
            return False
        first_best = max(self.epochs, key=_val_top1)
        return len(self.epochs) - first_best.number >= self._patience

    def add(self, number: int, train_loss: float, train_s: float) -> Epoch:
        """Measure and note the epoch that has just ended."""
        val_top1 = None if self._measure is None else self._measure()
        epoch = Epoch(number=number, epochs=self._planned, train_loss=train_loss, val_top1=val_top1, train_s=train_s)
        self.epochs.append(epoch)
        if self._patience is not None and self.kept == number:
            self._best = {name: tensor.clone() for name, tensor in trained_state(self._module).items()}
        return epoch

    def restore_best(self) -> None:
        """Give the module the weights of the epoch that is kept."""
        if self._best:
            self._module.load_state_dict(self._best, strict=False)

    def state_dict(self) -> dict[str, Any]:
        """Everything that a resumed training needs to know."""
        return {"epochs": [asdict(epoch) for epoch in self.epochs], "best": self._best}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        self.epochs = [Epoch(**epoch) for epoch in state["epochs"]]
        self._best = state["best"]


def trained_state(module: nn.Module) -> dict[str, Tensor]:
    """The state of a module without its frozen parameters."""
    named = module.named_parameters(remove_duplicate=False)
    frozen = {name for name, parameter in named if not parameter.requires_grad}
    return {name: tensor for name, tensor in module.state_dict().items() if name not in frozen}


def _val_top1(epoch: Epoch) -> float:
    assert epoch.val_top1 is not None, "early stopping without validation"
    return epoch.val_top1
