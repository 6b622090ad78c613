"""The search of learning rates: validation scores of every method at every rate, and which rate each of them gets."""

import json

import pandas as pd

from benchmarks.methods.listing import DELTA, FC_ONLY, JOINING, LABELS, PAINT, READING_LABELS
from benchmarks.records.names import BASE_AGREEMENT, RATES, TOP1
from reports.checks import check_comparable
from reports.pages.page import Page, PageBlock
from reports.tables.patching_frame import harmonic_mean

HEADS = {FC_ONLY.name, *(each.name for each in JOINING if each.recipe == "head")}
"""Methods whose searched rate is that of the head, as they train nothing else."""
MEAN = "mean"
"""Over tasks."""


def rates_frame(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of the search -> one line per net, method, rate and task, and one of their mean.

    A score is validation top-1 in per cent; of PAINT, which trades the base for the task, the harmonic mean with what
    is left of the base at the alpha and arm where that is highest. A rate that was not measured on every task of its
    net has no mean.

    Returns:
        `architecture`, `name` (of the method as `Recipes.chosen` has it), `rate`, `task` (`MEAN` for that), `score` and
        `chosen`: the rate with the highest mean, of equals the lowest, where all rates of the method have one.

    Raises:
        UserError: if the rows must not be compared.
    """
    check_comparable(rows)
    held_out = rows[(rows["split"] == "val") & (rows["phase"] == "after")]
    held_out = held_out[held_out["metric"].isin([TOP1, BASE_AGREEMENT])]
    delta = held_out["method"] == DELTA.name
    recipes = held_out["config"].map(lambda config: json.loads(config)["method"]["recipe"])
    held_out = held_out.assign(
        name=held_out["method"] + (":" + held_out["variant"]).where(delta, ""),
        rate=[
            recipe["head_lr" if method in HEADS else "lr"]
            for method, recipe in zip(held_out["method"], recipes, strict=True)
        ],
    )
    line = ["architecture", "name", "rate", "task"]
    paint = held_out["method"] == PAINT.name
    own = held_out["column"] == held_out["task"]
    point = [*line, "variant", "alpha"]
    patch = held_out[paint & own].set_index(point)["value"]
    base = held_out[paint & ~own].set_index(point)["value"]
    traded = harmonic_mean(base, patch).rename("score").reset_index().groupby(line, sort=False)["score"].max()
    plain = held_out[~paint & own].set_index(line)["value"].rename("score")
    scores = pd.concat([plain, traded]).reset_index()

    n_tasks = scores.groupby("architecture")["task"].nunique()
    means = scores.groupby(line[:3], sort=False)["score"].agg(["mean", "count"]).reset_index()
    means["score"] = means["mean"].where(means["count"] == means["architecture"].map(n_tasks)).round(9)
    by_method = means.groupby(["architecture", "name"])["score"]
    whole = by_method.transform("count") == by_method.transform("size")
    first = means[whole].sort_values(["score", "rate"], ascending=[False, True]).groupby(["architecture", "name"])
    means["chosen"] = means.index.isin(first.head(1).index)
    means = means.assign(task=MEAN)[[*line, "score", "chosen"]]
    frame: pd.DataFrame = pd.concat([scores.assign(chosen=False), means], ignore_index=True)
    places = {name: place for place, name in enumerate(LABELS)}
    place = frame["name"].str.partition(":")[0].map(places)
    order = frame.assign(place=place).sort_values(["architecture", "place", "name", "rate"], kind="stable").index
    return frame.loc[order].reset_index(drop=True)


def chosen_rates(frame: pd.DataFrame, architecture: str) -> dict[str, float]:
    """What the search chose on a net, as `Recipes.chosen` takes it."""
    chosen = frame[frame["chosen"] & (frame["architecture"] == architecture)]
    return dict(zip(chosen["name"], chosen["rate"], strict=True))


def rates_page(frame: pd.DataFrame, scale: str) -> Page:
    """A line for each method and rate, the chosen ones bold; a block for each net."""
    blocks = []
    for architecture, part in frame.groupby("architecture", sort=False):
        wide = part.pivot(index=["name", "rate"], columns="task", values="score")
        wide = wide.reindex(index=pd.MultiIndex.from_frame(part[["name", "rate"]].drop_duplicates()))
        wide = wide[[*(task for task in part["task"].unique() if task != MEAN), MEAN]]
        chosen = part[part["chosen"]].set_index(["name", "rate"]).index
        cells = wide.map(lambda score: "" if pd.isna(score) else f"{score:.1f}").rename_axis(columns=None)
        cells = cells.reset_index()
        cells["name"] = [_label(name) for name in cells["name"]]
        cells["rate"] = [f"{rate:g}" for rate in cells["rate"]]
        best = pd.DataFrame(False, index=cells.index, columns=cells.columns)
        best[MEAN] = wide.index.isin(chosen)
        renamed = {"name": "method", "rate": "lr"}
        blocks.append(
            PageBlock(title=str(architecture), cells=cells.rename(columns=renamed), best=best.rename(columns=renamed))
        )
    return Page(
        name=RATES,
        title="Search of learning rates",
        caption=f"Scale {scale}. Validation top-1 in per cent, one seed; bold: the rate that a method gets.",
        blocks=tuple(blocks),
        notes=(
            f"{PAINT.label}: harmonic mean of top-1 and what is left of the base, at the best of its alphas and arms.",
            "Heads beside other parts keep the rate of their recipe; where the head is all, its rate is searched.",
        ),
        commands=(),
    )


def _label(name: str) -> str:
    method, _, arm = name.partition(":")
    return f"{LABELS[method]} (4) {READING_LABELS[arm]}".rstrip() if arm else LABELS[method]
