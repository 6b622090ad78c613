"""Figures 3 to 6: gates of trained Delta-Networks, on average and for single images."""

from typing import TYPE_CHECKING

import pandas as pd

from benchmarks.data.shown import ShownImages
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


def difference_of_means(means: pd.DataFrame) -> pd.DataFrame:
    """What differs between the tasks of `mean_gates`, if they are two: the first less the second, gate by gate.

    Returns:
        Columns `block`, `source`, `target`, `existing` and `value`; no lines if the tasks are not two.
    """
    gate = ["block", "target", "source", "existing"]
    tasks = list(means["task"].unique())
    if len(tasks) != 2:
        return pd.DataFrame(columns=[*gate, "value"])
    first, second = (means[means["task"] == task].set_index(gate)["value"] for task in tasks)
    difference: pd.DataFrame = (first - second).dropna().reset_index()
    return difference


def figure_mean_gates(frame: pd.DataFrame, architecture: str, reading: str = LITERAL) -> "Figure":
    """Figure 3: one row of triangles per task of `mean_gates`, and of two what differs between them."""
    labels = {
        task: f"{task}: mean over n = {part['n_examples'].iloc[0]} test images, "
        f"{part['n_seeds'].iloc[0]} seed{'s' if part['n_seeds'].iloc[0] > 1 else ''}"
        for task, part in frame.groupby("task", sort=False)
    }
    beside = f"{' less '.join(map(str, labels))}: what differs"
    difference = difference_of_means(frame).assign(row=beside)
    return draw_gates(
        pd.concat([frame.assign(row=frame["task"].map(labels)), *([difference] if len(difference) else [])]),
        title=f"Mean gates{SHOWN_READINGS[reading]}, Delta (4) on {architecture}; {MARKS}",
        value_label="mean gate",
        around="base" if reading == MAPS else None,
        differences=[beside],
    )


def sample_gates(gates: pd.DataFrame, architecture: str, task: str, reading: str = LITERAL) -> pd.DataFrame:
    """Gates of single test images of one task, first seed (paper, Figures 4 to 6)."""
    of_net = (gates["architecture"] == architecture) & (gates["variant"] == reading)
    taken = gates[of_net & (gates["task"] == task) & gates["sample"].notna()]
    first: pd.DataFrame = taken[taken["seed"] == taken["seed"].min()]
    return first


def figure_sample_gates(
    frame: pd.DataFrame, architecture: str, task: str, reading: str = LITERAL, shown: ShownImages | None = None
) -> "Figure":
    """One of Figures 4 to 6: one row of triangles per image of `sample_gates`.

    Args:
        frame: `sample_gates`.
        architecture: their net.
        task: their task.
        reading: their reading of Delta-Networks.
        shown: the images themselves and the names of their classes; else the title says that they are not here.
    """
    samples = list(frame["sample"].unique())
    rows = [
        f"test image {sample}, class {label}" + (f": {shown.class_names[label]}" if shown else "")
        for sample, label in zip(frame["sample"], frame["label"], strict=True)
    ]
    absent = "" if shown else "; images and names of classes are not on this machine"
    return draw_gates(
        frame.assign(row=rows),
        title=f"Gates{SHOWN_READINGS[reading]}, Delta (4) on {architecture}, {task}; {MARKS}{absent}",
        images=[shown.images[sample] for sample in samples] if shown else (),
        around="base" if reading == MAPS else None,
    )
