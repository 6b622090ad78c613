"""Pictures of the adapter study: which ranks differ, and what accuracy costs."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pandas as pd

from reports.figures.style import GREY, MARKERS, PALETTE, VERMILION
from reports.tables.ablation import pareto
from reports.tables.adapters_frame import BLOCK, DELTA_LABEL, LORA_LABEL, OVERALL

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LEAST_METHODS = 3
LEAST_TASKS = 2
"""What a comparison of ranks needs at least."""
SIGNIFICANCE = 0.05

PANELS = {
    "trained": "trained parameters, head included",
    "kept_bytes": "kept for a task (bytes)",
    "epoch_ratio": "time of an epoch / LoRA",
    "memory_ratio": "peak training memory / LoRA",
    "latency_ratio": "latency / base",
}


def figures(frame: pd.DataFrame) -> "Mapping[str, Figure]":
    """Two pictures for each net, image size and length of training; ranks only where they can be compared."""
    found: dict[str, Figure] = {}
    for (net, protocol), part in frame.groupby(BLOCK, sort=False):
        title = f"{net}, {protocol}"
        name = title.replace(", ", "-").replace(",", "-").replace("=", "")
        found[f"costs-{name}"] = costs_figure(part, title)
        keeping = _keeping(part)
        if len(keeping) >= LEAST_METHODS and part["task"].nunique() > LEAST_TASKS:  # one of them is the mean
            found[f"ranks-{name}"] = ranks_figure(part, title)
    return found


def ranks_figure(part: pd.DataFrame, title: str) -> "Figure":
    """Critical-difference diagram (Demsar 2006): a bar joins methods whose ranks over tasks do not differ.

    By Friedman's ranks and Nemenyi's test at 5 %, tasks as blocks, among the methods that keep the base.
    """
    import scikit_posthocs  # takes seconds to import
    from matplotlib.figure import Figure

    by_task = part[part["task"] != OVERALL].pivot(index="task", columns="label", values="top1")[_keeping(part)]
    ranks = by_task.rank(axis="columns", ascending=False).mean()
    figure = Figure(figsize=(9, 1.6 + 0.25 * len(ranks)), layout="constrained")
    axes = figure.subplots()
    scikit_posthocs.critical_difference_diagram(
        ranks,
        scikit_posthocs.posthoc_nemenyi_friedman(by_task.to_numpy())
        .set_axis(ranks.index)
        .set_axis(ranks.index, axis=1),
        ax=axes,
        alpha=SIGNIFICANCE,
        color_palette={label: VERMILION if label == DELTA_LABEL else "black" for label in ranks.index},
    )
    axes.set_title(
        f"{title}\nmean rank over {len(by_task)} tasks; a bar joins what Nemenyi's test at 5 % does not part",
        fontsize=9,
    )
    return figure


def costs_figure(part: pd.DataFrame, title: str) -> "Figure":
    """Mean top-1 against every cost that was measured; the line joins methods that none beats in both.

    Methods that give up the base are hollow and take no part in the line.
    """
    from matplotlib.figure import Figure

    whole = part[part["task"] == OVERALL].dropna(subset="top1")
    whole = whole.assign(trained=whole["params"] + whole["params_head"]).sort_values("top1", ascending=False)
    shown = {cost: name for cost, name in PANELS.items() if whole[cost].notna().any()}
    figure = Figure(figsize=(4.2 * len(shown) + 3, 4.6), layout="constrained")
    panels = figure.subplots(1, len(shown), sharey=True, squeeze=False)[0]
    for axes, (cost, name) in zip(panels, shown.items(), strict=True):
        for place, line in enumerate(whole.to_dict("records")):
            colour, marker = PALETTE[place % len(PALETTE)], MARKERS[place // len(PALETTE) % len(MARKERS)]
            axes.scatter(
                line[cost], line["top1"], s=130 if line["label"] in (DELTA_LABEL, LORA_LABEL) else 45, marker=marker,
                edgecolor=colour, facecolor=colour if line["base"] == "kept" else "none", label=line["label"], zorder=3,
            )  # fmt: skip
        front = pareto(whole[whole["base"] == "kept"].dropna(subset=cost), cost, "top1")
        axes.plot(front[cost], front["top1"], color=GREY, linewidth=1, linestyle="--", zorder=1)
        axes.set_xscale("log")
        axes.set_xlabel(name)
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("test top-1, mean over tasks (%)")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper", fontsize=8)
    figure.suptitle(title, fontsize=10)
    return figure


def _keeping(part: pd.DataFrame) -> list[str]:
    """Methods that keep the base and were measured on every task."""
    whole = part[(part["task"] == OVERALL) & part["rank"].notna()]
    return list(whole["label"])
