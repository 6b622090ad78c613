"""Figure 1: what Delta-Patching keeps and trains, beside its relatives."""

from typing import TYPE_CHECKING

import pandas as pd

from reports.figures.style import BLUE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FROZEN, TUNED, NEW = "frozen", "tuned", "new"

SETTINGS = pd.DataFrame(
    {
        "setting": ["transfer learning", "multi-task learning", "model patching (PAINT)", "Delta-Patching"],
        "backbone": [TUNED, TUNED, TUNED, FROZEN],
        "beside it": ["", "", "two copies, mixed by a coefficient", "Delta-modules on the skips"],
        "needs data of": ["task", "both tasks, together", "task", "task"],
        "base accuracy": ["lost", "learned anew", "drops", "kept bit for bit"],
        "storage": ["one net per task", "one net for all", "two nets while choosing", "one net + a patch per task"],
    }
)
"""After the paper's Figure 1 and Table 9; its wording is ours."""

FILL = {FROZEN: "#ececec", TUNED: "#fbe3c5", NEW: "#dcebf7"}
HATCH = {FROZEN: "", TUNED: "///", NEW: ""}


def figure_settings(frame: pd.DataFrame = SETTINGS) -> "Figure":
    """One column per setting: the net on top, what it needs and costs below."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2.75 * len(frame) + 0.2, 5.4))
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, len(frame)), ylim=(0, 5.4))
    axes.axis("off")
    for place, line in enumerate(frame.to_dict("records")):
        _column(axes, place + 0.5, {str(key): str(value) for key, value in line.items()})
    _legend(axes, len(frame))
    return figure


def _column(axes: "Axes", x: float, line: dict[str, str]) -> None:
    ours = line["backbone"] == FROZEN
    axes.text(x, 5.1, line["setting"], ha="center", fontsize=11, fontweight="bold", color=BLUE if ours else "black")
    _box(axes, x, 4.45, 0.62, "head: new", NEW)
    _box(axes, x, 3.75, 0.62, f"backbone: {line['backbone']}", line["backbone"])
    if line["beside it"]:
        _box(axes, x, 3.1, 0.86, line["beside it"], NEW if ours else TUNED)
    for row, name in enumerate(("needs data of", "base accuracy", "storage")):
        axes.text(x, 2.4 - 0.66 * row, name, ha="center", fontsize=8.5, color="#555555")
        axes.text(x, 2.14 - 0.66 * row, line[name], ha="center", fontsize=10)
    axes.plot([x + 0.5] * 2, [0.65, 5.2], color="#cccccc", linewidth=0.8)


def _box(axes: "Axes", x: float, y: float, width: float, text: str, kind: str) -> None:
    from matplotlib.patches import FancyBboxPatch

    axes.add_patch(
        FancyBboxPatch(
            (x - width / 2, y - 0.2), width, 0.4, boxstyle="round,pad=0,rounding_size=0.05", mutation_aspect=2.5,
            facecolor=FILL[kind], hatch=HATCH[kind], edgecolor="#777777" if kind != NEW else BLUE,
            linewidth=0.8 if kind != NEW else 1.5,
        )
    )  # fmt: skip
    axes.text(
        x,
        y - 0.01,
        text,
        ha="center",
        va="center",
        fontsize=8.5,
        bbox={"facecolor": FILL[kind], "edgecolor": "none", "pad": 1},
    )


def _legend(axes: "Axes", columns: int) -> None:
    words = {
        FROZEN: "frozen: every byte stays",
        TUNED: "tuned: weights of the base are overwritten",
        NEW: "new: trained, stored with the task",
    }
    for (kind, word), x in zip(words.items(), (0.06, 0.32, 0.68), strict=True):
        _box(axes, x * columns - 0.13, 0.32, 0.18, "", kind)
        axes.text(x * columns, 0.3, word, fontsize=9, va="center")
