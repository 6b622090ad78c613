"""Pictures of what was measured: all ratios, and accuracy over training time."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure


def draw_ratios(files: Sequence[Path]) -> Figure:
    """Ratio of every row with its interquartile range, and the ratio of operations where there is one; log scale."""
    rows = pd.concat([pd.read_csv(file).assign(measurement=file.stem) for file in files], ignore_index=True)[::-1]
    places = range(len(rows))
    figure = Figure(figsize=(10, 1.2 + 0.3 * len(rows)), layout="constrained")
    axes = figure.subplots()
    half = rows["spread"] / 2
    axes.errorbar(rows["ratio"], places, xerr=half, fmt="o", color="black", label="measured, with its quartile range")
    axes.scatter(rows["flop_ratio"], places, marker="|", s=200, color="tab:orange", label="floating-point operations")
    axes.axvline(1, color="grey", linewidth=0.8)
    axes.set_xscale("log")
    axes.set_yticks(places, [f"{row.measurement}: {row.name}" for row in rows.itertuples()])
    axes.set_xlabel("ours / reference")
    axes.grid(axis="x", alpha=0.3)
    axes.legend(fontsize="small")
    return figure


def draw_curves(file: Path) -> Figure:
    """Test accuracy over seconds of training, log scale: a line for every seed, a colour for every method."""
    points = pd.read_csv(file)
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    # Okabe and Ito's palette, safe for colour-blind readers.
    colours = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00")
    for (method, curves), colour in zip(points.groupby("method", sort=False), colours, strict=False):
        for number, (_, curve) in enumerate(curves.groupby("seed")):
            label = f"{method}, n = {curves['seed'].nunique()} seeds" if not number else None
            axes.plot(curve["train_s"], curve["top1"], ".-", color=colour, alpha=0.7, label=label)
    axes.set_xscale("log")
    axes.set_xlabel("seconds of training, features included")
    axes.set_ylabel("test top-1 (%)")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    return figure
