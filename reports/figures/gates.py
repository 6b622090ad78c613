"""Figures 3 to 6: gates of trained Delta-Networks, on average and for single images."""

from typing import TYPE_CHECKING

import pandas as pd

from benchmarks.records.names import LITERAL, MAPS
from delta_core.training.gate_figure import draw_gates

if TYPE_CHECKING:
    from matplotlib.figure import Figure


SHOWN_READINGS = {LITERAL: "", MAPS: " of the default"}
"""Whose gates the figures show, with what titles say of them: first those of the paper's reading, from 0 to 1."""
MARKS = "bold: at least 0.5, framed: the net's own skips"


def mean_gates(gates: pd.DataFrame, architecture: str, reading: str = LITERAL) -> pd.DataFrame:
    """Mean gate of every skip over the test images of each task, averaged over seeds (paper, Figure 3).

    Args:
        gates: `gates.csv`.
        architecture: net to show.
        reading: variant of Delta-Networks to show.

    Returns:
        Columns `task`, `block`, `source`, `target`, `existing`, `value`, `sd` (over test images, averaged over seeds),
        `n_examples` and `n_seeds`.
    """
    of_net = (gates["architecture"] == architecture) & (gates["variant"] == reading)
    taken = gates[of_net & gates["sample"].isna()]
    grouped = taken.groupby(["task", "block", "target", "source", "existing"], sort=False)
    found = grouped.agg(
        value=("value", "mean"), sd=("sd", "mean"), n_examples=("n_examples", "first"), n_seeds=("seed", "nunique")
    )
    return found.reset_index()


def figure_mean_gates(frame: pd.DataFrame, architecture: str, reading: str = LITERAL) -> "Figure":
    """Figure 3: one row of triangles per task of `mean_gates`."""
    labels = {
        task: f"{task}: mean over n = {part['n_examples'].iloc[0]} test images, "
        f"{part['n_seeds'].iloc[0]} seed{'s' if part['n_seeds'].iloc[0] > 1 else ''}"
        for task, part in frame.groupby("task", sort=False)
    }
    return draw_gates(
        frame.assign(row=frame["task"].map(labels)),
        title=f"Mean gates{SHOWN_READINGS[reading]}, Delta (4) on {architecture}; {MARKS}",
        value_label="mean gate",
        around="base" if reading == MAPS else None,
    )


def sample_gates(gates: pd.DataFrame, architecture: str, task: str, reading: str = LITERAL) -> pd.DataFrame:
    """Gates of single test images of one task, first seed (paper, Figures 4 to 6)."""
    of_net = (gates["architecture"] == architecture) & (gates["variant"] == reading)
    taken = gates[of_net & (gates["task"] == task) & gates["sample"].notna()]
    first: pd.DataFrame = taken[taken["seed"] == taken["seed"].min()]
    return first


def figure_sample_gates(frame: pd.DataFrame, architecture: str, task: str, reading: str = LITERAL) -> "Figure":
    """One of Figures 4 to 6: one row of triangles per image of `sample_gates`."""
    rows = [
        f"test image {sample}, class {label}" for sample, label in zip(frame["sample"], frame["label"], strict=True)
    ]
    return draw_gates(
        frame.assign(row=rows),
        title=f"Gates{SHOWN_READINGS[reading]}, Delta (4) on {architecture}, {task}; {MARKS}",
        around="base" if reading == MAPS else None,
    )
