"""What mmengine's loop tells a callback of ours, so that a log of Table 7 is like that of the other tables."""

import time
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from delta_core.training.callback import Callback
from delta_core.training.history import Epoch


class LogHook(Hook):  # type: ignore[misc]
    """Passes start, steps, epochs and end on; a training that counts steps alone is one epoch."""

    priority = "BELOW_NORMAL"  # in front of what changes the rate for the next step, and of the checkpoint

    def __init__(self, callback: Callback) -> None:
        self._callback = callback
        self._has_started = False

    def before_train(self, runner: Runner) -> None:
        """A resumed training has steps behind it already."""
        self._callback.on_start(runner.model, runner.iter)
        self._has_started = True

    def before_train_epoch(self, runner: Runner) -> None:  # noqa: ARG002
        """Begin to count."""
        self._started, self._total, self._steps = time.perf_counter(), 0.0, 0

    def after_train_iter(self, runner: Runner, outputs: dict[str, Any] | None = None, **_: Any) -> None:
        """One step."""
        assert outputs is not None, "the model of a config here gives its losses"
        loss = outputs["loss"].detach()
        self._total, self._steps = self._total + loss, self._steps + 1
        self._callback.on_step(loss, max(group["lr"] for group in runner.optim_wrapper.param_groups))

    def after_train_epoch(self, runner: Runner) -> None:
        """Mean loss over the steps of the epoch; after an interruption, over those since."""
        self._callback.on_epoch(
            Epoch(
                number=runner.epoch + 1,
                epochs=runner.max_epochs,
                train_loss=float(self._total / self._steps),
                val_top1=None,
                train_s=time.perf_counter() - self._started,
            )
        )

    def end(self) -> None:
        """The training has ended or was broken off; mmengine tells its hooks of the first alone."""
        if self._has_started:
            self._callback.on_end()
