"""A line now and then of a training that takes minutes to hours and is silent otherwise."""

import sys
import time
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

EVERY_S = 30.0


class ProgressHook(Hook):  # type: ignore[misc]
    """Tells on stderr how far a training is; the first line comes after so many seconds as each of the others."""

    priority = "LOWEST"

    def __init__(self, name: str) -> None:
        self.name = name

    def before_train(self, runner: Runner) -> None:
        """Take the time; a resumed training has steps behind it already."""
        self.started = self.told = time.monotonic()
        self.first_step = runner.iter

    def after_train_iter(self, runner: Runner, outputs: dict[str, Any] | None = None, **_: Any) -> None:
        """Print a line if it is time, e.g. "resnet18 detection: step 120 of 300, loss 0.71, 2 min to go"."""
        now = time.monotonic()
        if now - self.told < EVERY_S:
            return
        self.told = now
        done = runner.iter + 1
        left_s = (now - self.started) / (done - self.first_step) * (runner.max_iters - done)
        loss = f", loss {outputs['loss'].item():.3g}" if outputs and "loss" in outputs else ""
        print(
            f"{self.name}: step {done} of {runner.max_iters}{loss}, {_duration(left_s)} to go",
            file=sys.stderr,
            flush=True,
        )


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
