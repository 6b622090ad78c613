"""The picture of the method: one block, all its skip connections and what weights them; docs/block.svg.

Written by `python -m reports.figures.block`. What is frozen and what belongs to the patch differ in line style as well
as in colour, so that the picture can be read in black and white.
"""

from itertools import accumulate
from math import cos, hypot, radians, sin
from pathlib import Path

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch, PathPatch
from matplotlib.path import Path as Curve

INK = "#222222"
FROZEN_FILL = "#ececec"
PATCH = "#0b5fa5"
PATCH_FILL = "#dcebf7"
DASHES = (0, (4, 2))
# Lengths are in axes units; one unit is INCHES_PER_UNIT.
INCHES_PER_UNIT = 0.72
STEP = 2.7  # from node to node
RADIUS = 0.31  # of a node
MODULE_Y = -1.75
LEGEND_Y = -3.05
MODULE_LAYERS = (r"Conv 3$\times$3", r"Conv 3$\times$3", "Pool", "Linear", "Sigmoid")


def draw_block(k: int = 3) -> Figure:
    """A block with `k` sub-blocks: its k(k+1)/2 skips with their gates, the Delta-module and the BatchNorm.

    >>> len(draw_block(2).axes)
    1
    """
    left, right, bottom, top = -1.7, max(k, 3) * STEP + 3.2, LEGEND_Y - 0.45, 0.55 + 0.95 * k
    figure = Figure(figsize=((right - left) * INCHES_PER_UNIT, (top - bottom) * INCHES_PER_UNIT))
    axes = figure.add_axes((0, 0, 1, 1), xlim=(left, right), ylim=(bottom, top), aspect="equal")
    axes.axis("off")
    _path(axes, k)
    for target in range(1, k + 1):
        for source in range(target):
            _skip(axes, source, target, k)
    _delta_module(axes, k)
    _legend(axes)
    return figure


def write_block_figure(path: Path) -> None:
    """Write the picture as SVG: the same bytes on every call."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with rc_context({"svg.hashsalt": "block"}):
        draw_block().savefig(path, metadata={"Date": None})


def _path(axes: Axes, k: int) -> None:
    """The frozen sub-blocks in a row, the nodes between them, and the patch's BatchNorm at the end."""
    _text(axes, -1.25, 0.28, "input")
    _arrow(axes, (-1.55, 0), (-RADIUS, 0))
    for node in range(k + 1):
        x = node * STEP
        axes.add_patch(Circle((x, 0), RADIUS, facecolor="white", edgecolor=INK, linewidth=1.3))
        _text(axes, x, -0.01, f"$x_{node}$")
        if node < k:
            _arrow(axes, (x + RADIUS, 0), (x + STEP / 2 - 0.8, 0))
            _box(axes, (x + STEP / 2, 0), (1.6, 0.76), f"sub-block {node + 1}", patch=False)
            _arrow(axes, (x + STEP / 2 + 0.8, 0), (x + STEP - RADIUS, 0))
    end = k * STEP
    _arrow(axes, (end + RADIUS, 0), (end + 0.7, 0))
    _box(axes, (end + 1.4, 0), (1.4, 0.76), "BatchNorm", patch=True)
    _arrow(axes, (end + 2.1, 0), (end + 3.0, 0))
    _text(axes, end + 2.6, 0.28, "output")


def _skip(axes: Axes, source: int, target: int, k: int) -> None:
    """Skip source -> target as an arc whose height grows with its length, its gate on top."""
    length = target - source
    new = length > 1
    apex = 0.15 + 0.95 * length
    # Long skips leave and reach their nodes more steeply than short ones, so that no two touch there.
    angle = radians(88 - 56 * (k - length) / max(1, k - 1))
    start = (source * STEP + RADIUS * cos(angle), RADIUS * sin(angle))
    end = (target * STEP - RADIUS * cos(angle), RADIUS * sin(angle))
    height = start[1] + (apex - start[1]) / 0.75  # a cubic curve reaches three quarters of its control points
    lean = 0.26 * STEP * length**0.5
    curve = Curve([start, (start[0] + lean, height), (end[0] - lean, height), end], [1, 4, 4, 4])
    axes.add_patch(
        PathPatch(
            curve, facecolor="none", edgecolor=PATCH if new else INK, linewidth=1.6 if new else 1.3,
            linestyle=DASHES if new else "-", capstyle="butt",
        )
    )  # fmt: skip
    reach = hypot(lean, height - end[1]) / 0.25  # a quarter of a unit: the head alone, never dashed
    _arrow(axes, (end[0] - lean / reach, end[1] + (height - end[1]) / reach), end, patch=new)
    _gate(axes, ((start[0] + end[0]) / 2, apex), f"{source}{target}")


def _gate(axes: Axes, centre: tuple[float, float], index: str) -> None:
    _box(axes, centre, (0.62, 0.42), rf"$\lambda_{{{index}}}$", patch=True)


def _delta_module(axes: Axes, k: int) -> None:
    """The module below the block: it reads the block's input and puts out all gates."""
    tap, first = -0.85, 0.1
    axes.plot([tap, tap], [0, MODULE_Y], color=PATCH, linewidth=1.3, solid_capstyle="round")
    axes.add_patch(Circle((tap, 0), 0.06, color=PATCH))
    _arrow(axes, (tap, MODULE_Y), (first - 0.25, MODULE_Y), patch=True)
    pitch = 1.45
    last = first + pitch * len(MODULE_LAYERS)
    _box(axes, ((first - 0.25 + last) / 2, MODULE_Y), (last - first + 0.25, 1.05), "", patch=True, fill="white")
    _text(axes, first - 0.2, MODULE_Y + 0.72, "Delta-module", patch=True, align="left")
    for index, layer in enumerate(MODULE_LAYERS):
        centre = first + pitch * (index + 0.5) - 0.1
        _box(axes, (centre, MODULE_Y), (1.16, 0.6), layer, patch=True)
        if index:
            _arrow(axes, (centre - pitch + 0.58, MODULE_Y), (centre - 0.58, MODULE_Y), patch=True)
    _arrow(axes, (last, MODULE_Y), (last + 0.55, MODULE_Y), patch=True)
    _gate(axes, (last + 0.9, MODULE_Y), "ij")
    _text(axes, last + 1.3, MODULE_Y, f"{k * (k + 1) // 2} gates, one per\nskip and image", align="left")


def _legend(axes: Axes) -> None:
    words = ("frozen backbone", "patch (trained)", "skip of the backbone", "new skip")
    starts = accumulate((1.3 + 0.105 * len(word) for word in words), initial=-1.4)
    for index, (x, word) in enumerate(zip(starts, words, strict=False)):
        if index < 2:
            _box(axes, (x + 0.25, LEGEND_Y), (0.5, 0.32), "", patch=index == 1)
        else:
            new = index == 3
            axes.plot(
                [x, x + 0.5], [LEGEND_Y] * 2, color=PATCH if new else INK, linewidth=1.6 if new else 1.3,
                linestyle=DASHES if new else "-",
            )  # fmt: skip
        _text(axes, x + 0.65, LEGEND_Y - 0.01, word, align="left")


def _box(
    axes: Axes, centre: tuple[float, float], size: tuple[float, float], text: str, *, patch: bool, fill: str = ""
) -> None:
    """A rounded box; those of the patch have a dark blue outline twice as thick."""
    (x, y), (width, height) = centre, size
    axes.add_patch(
        FancyBboxPatch(
            (x - width / 2, y - height / 2), width, height, boxstyle="round,pad=0,rounding_size=0.1",
            facecolor=fill or (PATCH_FILL if patch else FROZEN_FILL), edgecolor=PATCH if patch else INK,
            linewidth=1.6 if patch else 0.9,
        )
    )  # fmt: skip
    _text(axes, x, y - 0.01, text)


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float], *, patch: bool = False) -> None:
    axes.add_patch(
        FancyArrowPatch(
            start, end, arrowstyle="-|>", mutation_scale=11, shrinkA=0, shrinkB=0, color=PATCH if patch else INK,
            linewidth=1.3,
        )
    )  # fmt: skip


def _text(axes: Axes, x: float, y: float, text: str, *, patch: bool = False, align: str = "center") -> None:
    axes.text(x, y, text, ha=align, va="center", fontsize=10.5, color=PATCH if patch else INK)


if __name__ == "__main__":
    write_block_figure(Path(__file__).parents[2] / "docs" / "block.svg")
