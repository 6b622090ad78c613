"""The picture of a confusion matrix: all of it up to a hundred classes, beyond that where it is confused most."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from torch import Tensor

from delta_core.tool.lettering import Lettering

NAME = "confusion.png"

ROOMY_UP_TO = 25
"""Classes up to which cells and letters are large."""

WHOLE_UP_TO = 100
"""Classes up to which each has a row of its own; so many bins has the map of more."""

MOST_CONFUSED = 30
"""Pairs of classes that stand beside the map by name."""

LONGEST_NAME = 24
"""Characters of a class name that an axis shows."""


def draw_confusion(counts: Tensor, class_names: Sequence[str], path: Path, *, title: str) -> None:
    """Write the picture as a PNG file. A warning says which names no font on this machine can write.

    Args:
        counts: (N, N) integers, rows the true class, columns the predicted one.
        class_names: N names.
        path: file to write.
        title: one line above the picture.
    """
    lettering = Lettering([title, *class_names])
    names = [_short(lettering.written(name, f"class {number}")) for number, name in enumerate(class_names, start=1)]
    unwritten = [name for name in class_names if lettering.missing & set(name)]
    if unwritten:
        warnings.warn(
            f"No font here has the letters of some class names ({len(unwritten)}, e.g. {unwritten[0]!r}): in "
            f"{path.name} they are numbered in their order, from 1.",
            stacklevel=2,
        )
    draw = _draw_whole if len(names) <= WHOLE_UP_TO else _draw_summary
    draw(counts, names, lettering, lettering.written(title, "Confusion matrix")).savefig(path, dpi=110)


def most_confused(counts: Tensor, most: int = MOST_CONFUSED) -> list[tuple[int, int, int]]:
    """(true class, predicted class, images) of the wrong answers that were given most often.

    >>> most_confused(torch.tensor([[5, 2, 0], [0, 9, 0], [7, 0, 1]]))
    [(2, 0, 7), (0, 1, 2)]
    """
    wrong = counts.clone()
    wrong.fill_diagonal_(0)
    best = wrong.flatten().topk(min(most, wrong.numel()))
    pairs = zip(best.indices.tolist(), best.values.tolist(), strict=True)
    return [(place // len(counts), place % len(counts), images) for place, images in pairs if images]


def binned(counts: Tensor, bins: int) -> Tensor:
    """Counts (N, N) of classes as counts (bins, bins) of neighbouring classes.

    >>> binned(torch.eye(4, dtype=torch.long), 2).tolist()
    [[2, 0], [0, 2]]
    """
    bin_of = torch.arange(len(counts)) * bins // len(counts)
    rows = torch.zeros(bins, len(counts), dtype=counts.dtype).index_add_(0, bin_of, counts)
    return torch.zeros(bins, bins, dtype=counts.dtype).index_add_(1, bin_of, rows)


def _draw_whole(counts: Tensor, names: Sequence[str], lettering: Lettering, title: str) -> Figure:
    """Every class a row and a column, every count in its cell."""
    roomy = len(names) <= ROOMY_UP_TO
    side = max(3.0, (0.42 if roomy else 0.18) * len(names))  # inches of the square itself
    margin = 0.9 + 0.075 * max(len(name) for name in names)  # a written character is about 0.075 inches wide
    figure = Figure(figsize=(side + margin + 0.9, side + margin + 0.3), layout="constrained")
    axes = figure.add_subplot()
    share = _share(counts)
    image = _draw_map(axes, share)
    letters = 9 if roomy else 7.5
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=letters, **lettering.style)
    axes.set_yticks(range(len(names)), names, fontsize=letters, **lettering.style)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.set_title(title, fontsize=11, **lettering.style)
    _draw_grid(axes, len(names))
    _write_counts(axes, counts, share, fontsize=8 if roomy else 5.5)
    _draw_scale(figure, image, axes, side)
    return figure


def _draw_summary(counts: Tensor, names: Sequence[str], lettering: Lettering, title: str) -> Figure:
    """The most frequent confusions by name, and beside them a map in which neighbouring classes share a cell."""
    side = 7.0
    figure = Figure(figsize=(2 * side, side + 0.8), layout="constrained")
    figure.suptitle(title, fontsize=11, **lettering.style)
    bars, axes = figure.subplots(1, 2)
    pairs = most_confused(counts)
    labels = [f"{names[true]} → {names[predicted]}" for true, predicted, _ in pairs]
    shown = bars.barh(range(len(pairs)), [images for *_, images in pairs], color="steelblue")
    bars.bar_label(
        shown, [f"{images} of {int(counts[true].sum())}" for true, _, images in pairs], fontsize=8, padding=2
    )
    bars.set_yticks(range(len(pairs)), labels, fontsize=8, **lettering.style)
    bars.invert_yaxis()
    bars.spines[["top", "right"]].set_visible(False)
    bars.set_xlabel("images")
    bars.set_title("most frequent confusions, true → predicted", fontsize=10)
    last = len(names) + 0.5
    image = _draw_map(axes, _share(binned(counts, WHOLE_UP_TO)), extent=(0.5, last, last, 0.5))
    axes.set_xlabel("predicted, number of the class")
    axes.set_ylabel("true, number of the class")
    axes.set_title(f"all {len(names)} classes in {WHOLE_UP_TO} bins", fontsize=10)
    _draw_scale(figure, image, axes, side)
    return figure


def _share(counts: Tensor) -> Tensor:
    return counts / counts.sum(1, keepdim=True).clamp_min(1)


def _draw_map(axes: Axes, share: Tensor, *, extent: tuple[float, float, float, float] | None = None) -> AxesImage:
    # A root scale: one wrong answer in fifty must still be seen.
    return axes.imshow(share.numpy(), cmap="Blues", norm=PowerNorm(0.5, vmin=0, vmax=1), extent=extent)


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"


def _draw_scale(figure: Figure, image: AxesImage, axes: Axes, side: float) -> None:
    bar = figure.colorbar(
        image, ax=axes, shrink=min(1, 3 / side), aspect=15, fraction=0.3 / side, pad=0.02, ticks=[0, 0.1, 0.5, 1]
    )
    bar.ax.set_yticklabels(["0 %", "10 %", "50 %", "100 %"], fontsize=8)
    bar.set_label("share of the true class", fontsize=8)


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
