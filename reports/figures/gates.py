"""Figures 3 to 6: gates of trained Delta-Networks, on average and for single images."""

from typing import TYPE_CHECKING

import pandas as pd

from benchmarks.gate_figure import draw_gates

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def mean_gates(gates: pd.DataFrame, architecture: str) -> pd.DataFrame:
    """Mean gate of every skip over the test images of each task, averaged over runs (paper, Figure 3).

    Args:
        gates: `gates.csv`.
        architecture: net to show.

    Returns:
        Columns `task`, `block`, `source`, `target`, `existing`, `value`, `sd` (over test images, averaged over runs),
        `n_examples` and `n_runs`.
    """
    taken = gates[(gates["architecture"] == architecture) & gates["sample"].isna()]
    grouped = taken.groupby(["task", "block", "target", "source", "existing"], sort=False)
    found = grouped.agg(
        value=("value", "mean"), sd=("sd", "mean"), n_examples=("n_examples", "first"), n_runs=("run_id", "nunique")
    )
    return found.reset_index()


def figure_mean_gates(frame: pd.DataFrame, architecture: str) -> "Figure":
    """Figure 3: one row of triangles per task of `mean_gates`."""
    labels = {
        task: f"{task}: mean over n = {part['n_examples'].iloc[0]} test images, {part['n_runs'].iloc[0]} seed(s)"
        for task, part in frame.groupby("task", sort=False)
    }
    return draw_gates(
        frame.assign(row=frame["task"].map(labels)),
        title=f"Mean gates of Delta (4) on {architecture}; bold: at least 0.5, framed: the net's own skips",
        value_label="mean gate",
    )


def sample_gates(gates: pd.DataFrame, architecture: str, task: str) -> pd.DataFrame:
    """Gates of single test images of one task, first seed (paper, Figures 4 to 6)."""
    taken = gates[(gates["architecture"] == architecture) & (gates["task"] == task) & gates["sample"].notna()]
    return taken[taken["run_id"] == taken["run_id"].iloc[0]] if len(taken) else taken


def figure_sample_gates(frame: pd.DataFrame, architecture: str, task: str) -> "Figure":
    """One of Figures 4 to 6: one row of triangles per image of `sample_gates`."""
    rows = [
        f"test image {sample}, class {label}" for sample, label in zip(frame["sample"], frame["label"], strict=True)
    ]
    return draw_gates(
        frame.assign(row=rows),
        title=f"Gates of Delta (4) on {architecture}, {task}; bold: at least 0.5, framed: the net's own skips",
    )
