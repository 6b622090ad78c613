"""The study of our defaults: gain of every arm over FC-only, on the validation data it is chosen on."""

from typing import TYPE_CHECKING

import pandas as pd

from benchmarks.records.names import STUDY_DEFAULTS
from reports.checks import check_comparable, check_one_run_per_seed
from reports.pages.page import Page, PageBlock, with_spread

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OVERALL = "all"


def study_frame(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of the study -> one line per arm, architecture and task, and averages over them.

    Gains are taken seed by seed against FC-only on the same task, in points of validation top-1. An average over tasks
    is taken per seed first, so that `sd` (ddof = 1, over seeds) is that of the average. An arm that was not measured
    everywhere has no average: a partial one would compare it on other tasks.

    Returns:
        Columns `arm`, `architecture`, `task` (`all` for an average), `gain`, `sd`, `n` (seeds).

    Raises:
        UserError: if the rows must not be averaged.
    """
    check_comparable(rows)
    taken = rows[(rows["split"] == "val") & (rows["column"] == rows["task"]) & (rows["phase"] == "after")]
    check_one_run_per_seed(taken.assign(role="method"))
    cell = ["architecture", "task", "seed"]
    reference = taken[taken["method"] == "fc_only"].set_index(cell)["value"].rename("reference")
    arms = taken[taken["method"] != "fc_only"].join(reference, on=cell)
    arms = arms.assign(arm=arms["variant"], gain=arms["value"] - arms["reference"]).dropna(subset="gain")
    by_architecture = _averaged(arms, ["arm", "architecture", "seed"], over="task").assign(task=OVERALL)
    by_task = _averaged(arms, ["arm", "task", "seed"], over="architecture").assign(architecture=OVERALL)
    overall = _averaged(by_architecture, ["arm", "seed"], over="architecture")
    overall = overall.assign(architecture=OVERALL, task=OVERALL)
    lines = pd.concat([arms, by_architecture, by_task, overall])
    grouped = lines.groupby(["arm", "architecture", "task"], sort=False)["gain"]
    return grouped.agg(gain="mean", sd="std", n="count").reset_index()


def study_page(frame: pd.DataFrame, scale: str) -> Page:
    """Arms from best to worst on the average; one block by architecture, one by task."""
    order = frame[(frame["architecture"] == OVERALL) & (frame["task"] == OVERALL)].sort_values("gain", ascending=False)
    partial = [arm for arm in frame["arm"].unique() if arm not in set(order["arm"])]
    arms = [*order["arm"], *partial]
    return Page(
        name=STUDY_DEFAULTS,
        title="Study of the defaults",
        caption=(
            f"Scale {scale}. Delta (2): points of validation top-1 above FC-only, mean ±sd over seeds "
            f"(n = {int(frame['n'].max())}), averaged over tasks or architectures."
        ),
        blocks=(
            _block("by architecture", frame[frame["task"] == OVERALL], "architecture", arms),
            _block("by task", frame[frame["architecture"] == OVERALL], "task", arms),
        ),
        notes=("'gates half, fresh BN' is the literal reading of the paper.",),
        commands=(),
    )


def study_figure(frame: pd.DataFrame, scale: str) -> "Figure":
    """Gain of every arm: one mark per architecture and task, a bar at the average, best arm on top."""
    from matplotlib.figure import Figure  # the tables do not need it

    averages = frame[(frame["architecture"] == OVERALL) & (frame["task"] == OVERALL)].sort_values("gain")
    single = frame[(frame["architecture"] != OVERALL) & (frame["task"] != OVERALL)]
    single = single[single["arm"].isin(averages["arm"])]
    figure = Figure(figsize=(8, 1.2 + 0.28 * len(averages)), layout="constrained")
    axes = figure.subplots()
    place = {arm: index for index, arm in enumerate(averages["arm"])}
    markers = dict(zip(single["architecture"].unique(), "osD^vP*X", strict=False))
    for architecture, part in single.groupby("architecture", sort=False):
        heights = [place[arm] for arm in part["arm"]]
        axes.scatter(part["gain"], heights, s=14, alpha=0.6, marker=markers[architecture], label=str(architecture))
    axes.scatter(averages["gain"], range(len(averages)), marker="|", s=260, linewidths=2.5, color="black", label="mean")
    axes.axvline(0, color="grey", linewidth=0.8)
    axes.set_yticks(range(len(averages)), list(averages["arm"]))
    axes.set_xlabel("validation top-1 above FC-only (points)")
    axes.set_title(f"Delta (2), scale {scale}", loc="left")
    axes.grid(axis="x", alpha=0.3)
    axes.legend(fontsize="small", loc="lower right")
    return figure


def _averaged(lines: pd.DataFrame, keys: list[str], *, over: str) -> pd.DataFrame:
    """Mean gain of each group that holds every value of `over`."""
    grouped = lines.groupby(keys, sort=False)["gain"].agg(["mean", "count"]).reset_index()
    complete = grouped[grouped["count"] == lines[over].nunique()]
    return complete.rename(columns={"mean": "gain"}).drop(columns="count")


def _block(title: str, part: pd.DataFrame, by: str, arms: list[str]) -> PageBlock:
    columns = [*part.loc[part[by] != OVERALL, by].drop_duplicates(), OVERALL]
    texts = part.assign(
        text=[with_spread(gain, sd, sign="+") for gain, sd in zip(part["gain"], part["sd"], strict=True)]
    )
    wide = texts.pivot(index="arm", columns=by, values="text").reindex(index=arms, columns=columns).fillna("")
    gains = part.pivot(index="arm", columns=by, values="gain").reindex(index=arms, columns=columns)
    cells = wide.rename_axis(columns=None).reset_index().rename(columns={"arm": "method"})
    best = (gains == gains.max()).reset_index(drop=True)
    best.insert(0, "method", False)
    return PageBlock(title=title, cells=cells, best=best.rename_axis(columns=None))
