"""Gates as a picture: one triangle per block, source across, target down. Needs no torch: reports draw it, too."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

COLOURS = "cividis"
"""Reads the same with and without colour vision, and in grey."""

ON = 0.5
"""A skip counts as on from this gate upwards."""

CELL = 0.4  # inches
LARGEST_WITH_DIGITS = 8
"""Sub-blocks up to which the gates are written into their cells."""


def draw_gates(
    frame: pd.DataFrame, *, title: str, images: Sequence[NDArray[np.uint8]] = (), value_label: str = "gate"
) -> Figure:
    """Rows of triangles: one row for each value of `row`, one triangle for each block; skips that are on are bold.

    Args:
        frame: columns `row` (its heading), `block` (from 1), `source`, `target`, `existing` and `value` (0 to 1). Rows
            and blocks keep their order of appearance.
        title: one line above.
        images: (H, W, 3), one for each row, drawn in front of it.
        value_label: what the colour shows.
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
        part.suptitle(str(row), x=0.01, ha="left", fontsize=9, fontweight="bold")
        line = part.subplots(1, len(widths), squeeze=False, width_ratios=widths)[0]
        if images:
            line[0].imshow(images[place])
            line[0].axis("off")
        triangles = line[1:] if images else line
        for axes, block, k in zip(triangles, blocks, sizes, strict=True):
            _triangle(axes, frame[(frame["row"] == row) & (frame["block"] == block)], k)
            axes.set_title(f"block {block}", fontsize=9)
            axes.set_xlabel("from node", fontsize=8)
        triangles[0].set_ylabel("to node", fontsize=8)
        bar = part.colorbar(triangles[-1].collections[0], ax=line, ticks=[0, 0.5, 1], shrink=0.8, aspect=12)
        bar.set_label(value_label, fontsize=8)
        bar.ax.tick_params(labelsize=8)
    return figure


def _triangle(axes: Axes, part: pd.DataFrame, k: int) -> None:
    """Gates of one block; a frame marks the skips that the net has itself."""
    values = np.full((k, k), np.nan)
    values[part["target"] - 1, part["source"]] = part["value"]
    axes.pcolormesh(
        np.arange(k + 1) - 0.5, np.arange(k + 1) + 0.5, np.ma.masked_invalid(values), cmap=COLOURS, vmin=0, vmax=1
    )
    columns = (part[name].tolist() for name in ("source", "target", "existing", "value"))
    for source, target, existing, value in zip(*columns, strict=True):
        red, green, blue, _ = colormaps[COLOURS](value)
        ink = "white" if 0.3 * red + 0.59 * green + 0.11 * blue < 0.5 else "black"
        if existing:
            corner = (source - 0.43, target - 0.43)
            axes.add_patch(Rectangle(corner, 0.86, 0.86, fill=False, edgecolor=ink, linewidth=1.3))
        if k <= LARGEST_WITH_DIGITS:
            axes.text(
                source, target, f"{value:.2f}", ha="center", va="center", fontsize=7, color=ink,
                fontweight="bold" if value >= ON else "normal",
            )  # fmt: skip
    axes.set_xticks(range(k))
    axes.set_yticks(range(1, k + 1))
    axes.tick_params(length=0, labelsize=8)
    axes.set_ylim(k + 0.5, 0.5)
    axes.set_aspect("equal", anchor="N")
    axes.spines[:].set_visible(False)
