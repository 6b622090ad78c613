"""Pictures behind Table 6: curves over steps, embeddings of both domains in a plane, confusion matrices.

They are drawn from the arrays that a run leaves beside its record, for the lowest seed that has them.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.records.record_files import diagnostics_path
from reports import paper
from reports.figures.style import BLACK, BLUE, VERMILION

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

Arrays = Mapping[str, NDArray[Any]]
Found = dict[tuple[str, str], Arrays]
"""(transfer, method) -> arrays of one run."""


def find_arrays(rows: pd.DataFrame, results: Path) -> Found:
    """Arrays of the lowest seed of each transfer and method; runs whose arrays are not here are left out."""
    found: Found = {}
    runs = rows[["task", "method", "seed", "run_id"]].drop_duplicates().sort_values("seed", kind="stable")
    for task, method, _, run_id in runs.itertuples(index=False, name=None):
        path = diagnostics_path(results, run_id)
        if (task, method) not in found and path.exists():
            with np.load(path, allow_pickle=False) as file:
                found[task, method] = dict(file)
    return found


def figures(rows: pd.DataFrame, results: Path) -> dict[str, "Figure"]:
    """All pictures by name; none where no arrays are found."""
    found = find_arrays(rows, results)
    if not found:
        return {}
    return {
        "curves": curves_figure(found),
        "embeddings": _panels(
            found,
            _plane,
            "Embeddings of test images, two principal components: dots source, crosses target, a colour a digit",
        ),
        "confusion": _panels(
            found, _confusion, "Target test images: true digit down, predicted digit across, white 0 to dark 1"
        ),
    }


def curves_figure(found: Found) -> "Figure":
    """One line of panels per transfer: target top-1 and discriminator top-1 (50 = cannot tell) over steps."""
    from matplotlib.figure import Figure  # the tables do not need it

    tasks = list(dict.fromkeys(task for task, _ in found))
    figure = Figure(figsize=(11, 3.2 * len(tasks)), layout="constrained")
    axes = figure.subplots(len(tasks), 2, squeeze=False)
    lines: dict[str, Line2D] = {}
    for line, task in zip(axes, tasks, strict=True):
        for (of, method), arrays in found.items():
            if of == task:
                for panel, curve in zip(line, ("curve_target_top1", "curve_discriminator_top1"), strict=True):
                    if np.isfinite(arrays[curve]).any():
                        (lines[method],) = panel.plot(
                            arrays["curve_step"], arrays[curve], label=method, linewidth=1.5, **line_style(method)
                        )
        for panel, name in zip(line, ("target top-1 (%)", "discriminator top-1 (%)"), strict=True):
            panel.set_title(f"{task}: {name}", loc="left", fontsize="small")
            panel.set_xlabel("step of the last training")
            panel.grid(alpha=0.3)
    shown = [lines[method] for method in methods_of(found) if method in lines]
    figure.legend(handles=shown, loc="outside right upper", fontsize="small", handlelength=3)
    return figure


def methods_of(found: Found) -> list[str]:
    """Methods that left arrays, in the table's order."""
    listed = list(dict.fromkeys(paper.printed(6)["method"]))
    methods = dict.fromkeys(method for _, method in found)
    return sorted(methods, key=lambda method: listed.index(method) if method in listed else len(listed))


def line_style(method: str) -> dict[str, str]:
    """Colour: what is trained. Dashes: what joined it."""
    first, *joined = method.split("+")
    colour = {"vanilla": BLUE, "adda": VERMILION}.get(first, BLACK)
    dashes = {(): "-", ("delta_networks",): "--", ("uniform_prior",): ":"}.get(tuple(joined), "-.")
    return {"color": colour, "linestyle": dashes}


def _panels(found: Found, draw: Callable[["Axes", Arrays], None], says: str) -> "Figure":
    """A grid of panels: one line per transfer, one column per method."""
    from matplotlib.figure import Figure

    tasks, methods = list(dict.fromkeys(task for task, _ in found)), methods_of(found)
    figure = Figure(figsize=(1.9 * len(methods), 2.1 * len(tasks) + 0.4), layout="constrained", dpi=150)
    figure.suptitle(says, fontsize=9)
    axes = figure.subplots(len(tasks), len(methods), squeeze=False)
    for line, task in zip(axes, tasks, strict=True):
        for panel, method in zip(line, methods, strict=True):
            panel.set_xticks([])
            panel.set_yticks([])
            panel.set_title(method.replace("+", "\n+ "), fontsize=6)
            if (task, method) in found:
                draw(panel, found[task, method])
        line[0].set_ylabel(task, fontsize=7)
    return figure


def _plane(panel: "Axes", arrays: Arrays) -> None:
    """First two principal components, without the outermost hundredth on every side."""
    for is_target, marker in ((False, "."), (True, "x")):
        points = arrays["plane"][arrays["is_target"] == is_target]
        labels = arrays["labels"][arrays["is_target"] == is_target]
        # rasterised: tens of thousands of marks would make the file unreadable
        panel.scatter(
            points[:, 0], points[:, 1], c=labels, cmap="tab10", marker=marker, s=5, linewidths=0.4, rasterized=True
        )
    # A few far points would leave the others a speck.
    (left, bottom), (right, top) = np.percentile(arrays["plane"], [1, 99], axis=0)
    if left < right and bottom < top:
        panel.set_xlim(left, right)
        panel.set_ylim(bottom, top)


def _confusion(panel: "Axes", arrays: Arrays) -> None:
    """Share of each true class (lines) that was given each class (columns)."""
    counts = arrays["confusion"].astype(float)
    panel.imshow(counts / counts.sum(1, keepdims=True).clip(1), cmap="Blues", vmin=0, vmax=1)
