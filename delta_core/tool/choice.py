"""`--modules auto`: how many modules a patch gets, chosen on a part of its training images."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from delta_core.tool.options import FitOptions
from delta_core.tool.trained import Trained

COUNTS = (0, 1, 2, 4)
"""Numbers of modules, the cheapest first."""
EPOCHS = 0.5
"""Share of the epochs that a trial takes: half of them chose as well as all, on five tasks of packaged images and three
seeds."""
MISSES = 2
"""Trials in a row that are no better than an earlier one, after which no more are made."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One number of modules, trained on a part of the training images and measured on the others."""

    modules: int
    loss: float
    """`calibrated_loss` on the images that choose. It tells nets apart on fewer images than accuracy does: on the tasks
    above, of 150 images each, it cost 0.6 points of test top-1 against the best number of each task, accuracy 1.2."""
    right: int
    images: int
    train_s: float

    @property
    def top1(self) -> float:
        """In per cent."""
        return 100 * self.right / self.images

    def __str__(self) -> str:
        modules = {0: "a head alone", 1: "1 module"}.get(self.modules, f"{self.modules} modules")
        return (
            f"{modules}: loss {self.loss:.3f}, {self.top1:.1f} % right of {self.images} training images held out, "
            f"{self.train_s:.0f} s"
        )


def trial_of(options: FitOptions, modules: int) -> FitOptions:
    """Options of the trial of a number of modules."""
    fixed = replace(options, modules=modules)
    return replace(fixed, epochs=max(1, round(EPOCHS * fixed.recipe().epochs)))


def choose_modules(
    train: Callable[[int], Trained], *, blocks: int, say: Callable[[str], None]
) -> tuple[int, tuple[Trial, ...]]:
    """The number of modules with the least loss, and what was tried: in the order of cost, until more do not pay.

    Args:
        train: makes the trial of a number of modules.
        blocks: of the net that can be gated, which bound that number.
        say: told of every trial.
    """
    trials: list[Trial] = []
    for modules in COUNTS:
        if modules > blocks:
            break
        trials.append(_trial(modules, train(modules)))
        say(f"Tried {trials[-1]}.")
        best = min(trials, key=lambda trial: trial.loss)  # the first of equals, which costs least
        if len(trials) - trials.index(best) > MISSES:
            break
    return best.modules, tuple(trials)


def _trial(modules: int, trained: Trained) -> Trial:
    accuracy, loss = trained.accuracy, trained.result.val_loss
    assert loss is not None, "fit was given validation images"
    return Trial(
        modules=modules, loss=loss, right=accuracy.right, images=accuracy.images, train_s=trained.result.seconds
    )
