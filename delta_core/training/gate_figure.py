"""Gates as a picture: one triangle per block, source across, target down. Needs no torch: reports draw it, too."""

from collections.abc import Collection, Sequence
from typing import Literal

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

COLOURS = "cividis"
"""Of gates from 0 to 1; reads the same with and without colour vision, and in grey."""
AROUND_COLOURS = "PuOr_r"
"""Of what lies around something: white where it is that."""
MOST_SPREADS = 3
"""Standard deviations at which the colours of gates around their mean end."""

ON = 0.5
"""A skip counts as on from this gate upwards."""
UNUSUAL = 2
"""Standard deviations from its mean beyond which a gate is unusual."""

LARGEST_DIFFERENCE = 0.25
"""Between two means at which the colours of differences end."""

Around = Literal["base", "mean", "zero"]

CELL = 0.4  # inches
LARGEST_WITH_DIGITS = 8
"""Sub-blocks up to which the gates are written into their cells."""


def draw_gates(
    frame: pd.DataFrame,
    *,
    title: str,
    images: Sequence[NDArray[np.uint8]] = (),
    value_label: str = "gate",
    around: Around | None = None,
    differences: Collection[str] = (),
) -> Figure:
    """Rows of triangles: one row for each value of `row`, one triangle for each block; skips that are on are bold.

    Args:
        frame: columns `row` (its heading), `block` (from 1), `source`, `target`, `existing` and `value`. Rows and
            blocks keep their order of appearance.
        title: one line above.
        images: (H, W, 3), one for each row, drawn in front of it.
        value_label: what `value` is.
        around: what the colour shows the distance from. `base`: gates range around the net's own skips, from 0 to 2,
            and new ones from -1 to 1. `mean`: columns `mean` and `sd` say what each gate usually is; the distance is
            counted in `sd`, and bold are gates beyond two of them. `zero`: values are differences of gates, and
            none is bold. None: gates range from 0 to 1, which is shown.
        differences: rows that are drawn around `zero`, whatever the others are.
    """
    rows, blocks = list(frame["row"].unique()), sorted(frame["block"].unique())
    sizes = [max(2, int(frame.loc[frame["block"] == block, "target"].max())) for block in blocks]
    widths = ([4] if images else []) + sizes
    tallest = max(*sizes, 4 if images else 0)
    figure = Figure(
        figsize=(CELL * sum(widths) + 0.75 * len(widths) + 1.1, (CELL * tallest + 1.5) * len(rows) + 0.4),
        layout="constrained",
    )
    figure.suptitle(title, fontsize=10.5)
    for place, (row, part) in enumerate(zip(rows, figure.subfigures(len(rows), 1, squeeze=False).flat, strict=True)):
        how: Around | None = "zero" if row in differences else around
        part.suptitle(str(row), x=0.01, ha="left", fontsize=9, fontweight="bold")
        line = part.subplots(1, len(widths), squeeze=False, width_ratios=widths)[0]
        if images:
            line[0].imshow(images[place])
            line[0].axis("off")
        triangles = line[1:] if images else line
        for axes, block, k in zip(triangles, blocks, sizes, strict=True):
            _triangle(axes, frame[(frame["row"] == row) & (frame["block"] == block)], k, how)
            axes.set_title(f"block {block}", fontsize=9)
            axes.set_xlabel("from node", fontsize=8)
        triangles[0].set_ylabel("to node", fontsize=8)
        lowest, highest = _span(how)
        ticks = [lowest, (lowest + highest) / 2, highest]
        bar = part.colorbar(triangles[-1].collections[0], ax=line, ticks=ticks, shrink=0.8, aspect=12)
        labels = {
            None: value_label,
            "base": f"{value_label} - base",
            "mean": f"({value_label} - mean) / spread",
            "zero": "difference",
        }
        bar.set_label(labels[how], fontsize=8)
        bar.ax.tick_params(labelsize=8)
    return figure


def _span(around: Around | None) -> tuple[float, float]:
    ends = {"base": 1, "mean": MOST_SPREADS, "zero": LARGEST_DIFFERENCE}
    return (0, 1) if around is None else (-ends[around], ends[around])


def _shown(part: pd.DataFrame, around: Around | None) -> pd.Series:
    if around == "base":  # in the untouched net its own skips have weight 1 and new ones 0
        return part["value"] - part["existing"]
    return spreads_from_mean(part) if around == "mean" else part["value"]


def spreads_from_mean(gates: pd.DataFrame) -> pd.Series:
    """How far each `value` is from its `mean`, in `sd`; 0 for a gate that never moves."""
    return ((gates["value"] - gates["mean"]) / gates["sd"].where(gates["sd"] > 0)).fillna(0.0)


def _triangle(axes: Axes, part: pd.DataFrame, k: int, around: Around | None) -> None:
    """Gates of one block; a frame marks the skips that the net has itself."""
    shown = _shown(part, around)
    bold = shown.abs() >= UNUSUAL if around == "mean" else (part["value"] >= ON) & (around != "zero")
    part = part.assign(shown=shown, bold=bold)
    colours = colormaps[AROUND_COLOURS if around else COLOURS]
    span = Normalize(*_span(around))
    values = np.full((k, k), np.nan)
    values[part["target"] - 1, part["source"]] = part["shown"]
    axes.pcolormesh(
        np.arange(k + 1) - 0.5, np.arange(k + 1) + 0.5, np.ma.masked_invalid(values), cmap=colours, norm=span
    )
    sign = "+" if around == "zero" else ""
    columns = (part[name].tolist() for name in ("source", "target", "existing", "value", "shown", "bold"))
    for source, target, existing, value, colour, bold in zip(*columns, strict=True):
        red, green, blue, _ = colours(span(colour))
        ink = "white" if 0.3 * red + 0.59 * green + 0.11 * blue < 0.5 else "black"
        if existing:
            corner = (source - 0.43, target - 0.43)
            axes.add_patch(Rectangle(corner, 0.86, 0.86, fill=False, edgecolor=ink, linewidth=1.3))
        if k <= LARGEST_WITH_DIGITS:
            axes.text(
                source, target, f"{value:{sign}.2f}", ha="center", va="center", fontsize=7, color=ink,
                fontweight="bold" if bold else "normal",
            )  # fmt: skip
    nodes = int(part["target"].max())  # a block of one sub-block has the room of two
    axes.set_xticks(range(nodes))
    axes.set_yticks(range(1, nodes + 1))
    axes.tick_params(length=0, labelsize=8)
    axes.set_ylim(k + 0.5, 0.5)
    axes.set_aspect("equal", anchor="N")
    axes.spines[:].set_visible(False)
