"""The picture of a confusion matrix, readable from two classes to a hundred."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from torch import Tensor

ROOMY_UP_TO = 25
"""Classes up to which cells and letters are large."""

LONGEST_NAME = 24
"""Characters of a class name that an axis shows."""


def draw_confusion(counts: Tensor, class_names: Sequence[str], path: Path, *, title: str) -> None:
    """Write the picture as a PNG file.

    Args:
        counts: (N, N) integers, rows the true class, columns the predicted one.
        class_names: N names.
        path: file to write.
        title: one line above the picture.
    """
    names = [name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…" for name in class_names]
    roomy = len(names) <= ROOMY_UP_TO
    side = max(3.0, (0.42 if roomy else 0.18) * len(names))  # inches of the square itself
    margin = 0.9 + 0.075 * max(len(name) for name in names)  # a written character is about 0.075 inches wide
    figure = Figure(figsize=(side + margin + 0.9, side + margin + 0.3), layout="constrained")
    axes = figure.add_subplot()
    share = counts / counts.sum(1, keepdim=True).clamp_min(1)
    # A root scale: one wrong answer in fifty must still be seen.
    image = axes.imshow(share.numpy(), cmap="Blues", norm=PowerNorm(0.5, vmin=0, vmax=1))
    letters = 9 if roomy else 7.5
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=letters)
    axes.set_yticks(range(len(names)), names, fontsize=letters)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.set_title(title, fontsize=11)
    _draw_grid(axes, len(names))
    _write_counts(axes, counts, share, fontsize=8 if roomy else 5.5)
    bar = figure.colorbar(
        image, ax=axes, shrink=min(1, 3 / side), aspect=15, fraction=0.3 / side, pad=0.02, ticks=[0, 0.1, 0.5, 1]
    )
    bar.ax.set_yticklabels(["0 %", "10 %", "50 %", "100 %"], fontsize=8)
    bar.set_label("share of the true class", fontsize=8)
    figure.savefig(path, dpi=110)


def _draw_grid(axes: Axes, count: int) -> None:
    """Thin lines between the cells, so that the eye finds the row and the column of a wrong answer."""
    between = [index - 0.5 for index in range(1, count)]
    axes.set_xticks(between, minor=True)
    axes.set_yticks(between, minor=True)
    axes.grid(which="minor", color="0.85", linewidth=0.5)
    axes.tick_params(which="minor", length=0)


def _write_counts(axes: Axes, counts: Tensor, share: Tensor, *, fontsize: float) -> None:
    for true, predicted in counts.nonzero().tolist():
        colour = "white" if share[true, predicted] > 0.35 else "black"
        number = str(int(counts[true, predicted]))
        axes.text(predicted, true, number, ha="center", va="center", fontsize=fontsize, color=colour)
