"""The picture of a training: loss and validation accuracy, epoch by epoch."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from delta_core.tool.lettering import letter
from delta_core.training.history import Epoch

NAME = "training.png"

MARKED_UP_TO = 40
"""Epochs up to which each is a dot on its curve."""


def draw_training(history: Sequence[Epoch], kept_epoch: int, path: Path, *, title: str) -> None:
    """Write the picture as a PNG file.

    Args:
        history: at least one epoch.
        kept_epoch: number of the epoch whose weights the patch has; it gets a line.
        path: file to write.
        title: one line above the picture.
    """
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    figure.suptitle(title, fontsize=11)
    loss, accuracy = figure.subplots(1, 2)
    _draw(loss, history, [epoch.train_loss for epoch in history], kept_epoch)
    loss.set_ylim(bottom=0)
    loss.set_title("training loss", fontsize=10)
    _draw(accuracy, history, [epoch.val_top1 for epoch in history], kept_epoch)
    accuracy.set_title("right on validation images, in %", fontsize=10)
    letter(figure)
    figure.savefig(path, dpi=110)


def _draw(axes: Axes, history: Sequence[Epoch], values: Sequence[float | None], kept_epoch: int) -> None:
    """One curve over the epochs; an epoch without a value is a gap."""
    numbers = [epoch.number for epoch in history]
    heights = [float("nan") if value is None else value for value in values]
    axes.axvline(kept_epoch, color="0.75", linewidth=1, label="epoch kept")
    axes.plot(numbers, heights, marker="." if len(history) <= MARKED_UP_TO else "", color="steelblue")
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8)
