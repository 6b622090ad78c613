"""How well agreement with the untouched net predicts accuracy on the base: PAINT at eleven alphas, both measured."""

from typing import TYPE_CHECKING

import pandas as pd

from benchmarks.records.names import AGREEMENT, BASE_AGREEMENT, TOP1
from benchmarks.records.rows import Scale
from reports.checks import check_comparable, check_one_run_per_seed
from reports.figures.style import GREY, MARKERS, PALETTE
from reports.pages.page import Page, plain_block

if TYPE_CHECKING:
    from matplotlib.figure import Figure

POINT = ["architecture", "task", "variant", "seed", "alpha"]
ALL = "all"


def agreement_frame(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of the study -> one line per net, task, rate, seed and alpha, test splits, in per cent.

    Returns:
        `POINT`, `base_top1`, `base_agreement`, `patch_top1`, `untouched` (base top-1 of the untouched net), `predicted`
        (that times agreement: what is right where the untouched net is, and nowhere else) and `n_images` of the base.

    Raises:
        UserError: if the rows must not be compared.
    """
    check_comparable(rows)
    after = rows[rows["alpha"].notna() & (rows["split"] == "test")]
    once = [*POINT, "run_id"]
    check_one_run_per_seed(
        after[after["alpha"] == 1].drop_duplicates(once).assign(role="method")[[*_CELL, "role", "seed", "run_id"]]
    )
    on_base = after["column"] != after["task"]
    parts = {
        "base_top1": after[on_base & (after["metric"] == TOP1)],
        "base_agreement": after[on_base & (after["metric"] == BASE_AGREEMENT)],
        "patch_top1": after[~on_base],
    }
    wide = pd.DataFrame({name: part.set_index(once)["value"] for name, part in parts.items()}).reset_index()
    images = parts["base_agreement"].set_index(once)["n_examples"].rename("n_images")
    before = rows[rows["phase"] == "before"].set_index("run_id")["value"].rename("untouched")
    frame = wide.join(images, on=once).join(before, on="run_id").drop(columns="run_id")
    return frame.assign(predicted=frame["untouched"] * frame["base_agreement"] / 100)


def agreement_page(frame: pd.DataFrame, scale: Scale) -> Page:
    """Correlations and errors: a block per net, a line per task and one over all."""
    blocks = []
    for architecture, part in frame.groupby("architecture", sort=False):
        tasks = [*part.groupby("task", sort=False), (ALL, part)]
        cells = pd.DataFrame([{"method": str(task)} | _line(points) for task, points in tasks])
        blocks.append(plain_block(str(architecture), cells.rename(columns={"method": "task"})))
    images = " | ".join(str(count) for count in frame["n_images"].unique())
    return Page(
        name=AGREEMENT,
        title="Agreement with the untouched net as a measure of what is left of the base",
        caption=f"Scale {scale}; PAINT at eleven alphas and rates {', '.join(frame['variant'].unique())}; "
        f"n = {frame['seed'].nunique()} seed(s); {images} labelled test images of the base task. Points: net, task, "
        "rate, seed and alpha. Predicted accuracy: agreement times the accuracy of the untouched net.",
        blocks=tuple(blocks),
        notes=(
            "At alpha = 0 both are those of the untouched net by construction; correlations leave these points out.",
        ),
        commands=(),
    )


def agreement_figure(frame: pd.DataFrame, scale: Scale) -> "Figure":
    """Base accuracy over agreement, a panel per net; the line is what is predicted."""
    from matplotlib.figure import Figure

    nets = list(frame.groupby("architecture", sort=False))
    figure = Figure(figsize=(5.2 * len(nets) + 2.4, 4.6), layout="constrained")
    panels = figure.subplots(1, len(nets), sharey=True, squeeze=False)[0]
    arms = list(frame["variant"].unique())
    for axes, (architecture, part) in zip(panels, nets, strict=True):
        for place, (task, points) in enumerate(part.groupby("task", sort=False)):
            for arm, chosen in points.groupby("variant", sort=False):
                axes.scatter(
                    chosen["base_agreement"], chosen["base_top1"], s=28, color=PALETTE[place % len(PALETTE)],
                    marker=MARKERS[arms.index(arm)], label=f"{task}, {arm}", zorder=3,
                )  # fmt: skip
        untouched = part["untouched"].mean()
        axes.plot([0, 100], [0, untouched], color=GREY, linewidth=1, linestyle="--", label="predicted", zorder=1)
        found = _line(part)
        axes.set_title(f"{architecture}: r = {found['Pearson r']}, rho = {found['Spearman rho']}", fontsize=10)
        axes.set_xlabel("base agreement (%)")
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("base top-1 (%)")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper", fontsize=8)
    figure.suptitle(f"PAINT at eleven alphas, scale {scale}", fontsize=10)
    return figure


_CELL = ["architecture", "method", "n_delta_modules", "variant", "task"]


def _line(points: pd.DataFrame) -> dict[str, str]:
    """Numbers of one line of the page, from points of one or more tasks."""
    moved = points[points["alpha"] > 0]
    error = (points["predicted"] - points["base_top1"]).abs()
    pair = moved[["base_agreement", "base_top1"]]
    return {
        "points": str(len(moved)),
        "Pearson r": _correlation(pair),
        "Spearman rho": _correlation(pair.rank()),
        "mean error, points": f"{error.mean():.2f}",
        "largest error, points": f"{error.max():.2f}",
    }


def _correlation(pair: pd.DataFrame) -> str:
    """That of two columns as text; blank where one of them never changes."""
    found = pair.corr().to_numpy()[0, 1]
    return "" if pd.isna(found) else f"{found:.3f}"
