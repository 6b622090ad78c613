"""`--modules auto`: how many modules a patch gets, chosen on a part of its training images."""

from collections.abc import Callable
from dataclasses import dataclass

from delta_core.tool.trained import Trained

COUNTS = (0, 1, 2, 4)
"""Numbers of modules, the cheapest first."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One number of modules, trained on a part of the training images and measured on the others."""

    modules: int
    right: int
    images: int
    train_s: float

    @property
    def top1(self) -> float:
        """On the images that choose, in per cent."""
        return 100 * self.right / self.images

    def __str__(self) -> str:
        modules = {0: "a head alone", 1: "1 module"}.get(self.modules, f"{self.modules} modules")
        return f"{modules}: {self.top1:.1f} % of {self.images} training images held out, {self.train_s:.0f} s"


def choose_modules(
    train: Callable[[int], Trained], *, blocks: int, say: Callable[[str], None]
) -> tuple[Trained, tuple[Trial, ...]]:
    """The best trial, and what was tried: in the order of cost, until more are no better.

    Args:
        train: makes the trial of a number of modules.
        blocks: of the net that can be gated, which bound that number.
        say: told of every trial.
    """
    best: Trained | None = None
    trials: list[Trial] = []
    for modules in COUNTS:
        if modules > blocks:
            break
        trained = train(modules)
        trials.append(
            Trial(
                modules=modules,
                right=trained.accuracy.right,
                images=trained.accuracy.images,
                train_s=trained.result.seconds,
            )
        )
        say(f"Tried {trials[-1]}.")
        if best is not None and trained.accuracy.right <= best.accuracy.right:
            break
        best = trained
    assert best is not None, "a head alone is always possible"
    return best, tuple(trials)
