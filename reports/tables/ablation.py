"""Our own ablations: what every departure from Delta (4) gains over a new head, and what it costs."""

from typing import TYPE_CHECKING

import pandas as pd

from benchmarks.records.names import ABLATION
from reports.checks import check_comparable, check_one_run_per_seed
from reports.figures.style import MARKERS, MORE_MARKERS, PALETTE
from reports.pages.page import Page, PageBlock, cell_text, over_seeds, usual_n, with_spread

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def ablation_frame(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of the ablation -> one line per arm.

    Gains are points of test top-1 over FC-only on the same task and seed, averaged over tasks; `sd` is over seeds.
    Nothing is chosen by them. Parameters and multiply-adds are those of the full-size net (224 px), head left out.

    Returns:
        Columns `arm`, `architecture`, `row_id`, `task` (names of all tasks), `measured_on`, `measured_as` (see
        `reports.findings.explain`), `gain`, `sd`, `n`, `params` and `gmac`.
        Arms that were not measured on every task have no line.

    Raises:
        UserError: if the rows must not be averaged.
    """
    check_comparable(rows)
    costs = rows[rows["metric"] == "added_gmac"].groupby("variant")["value"].first()
    shown = (rows["metric"] == "top1") & (rows["split"] == "test") & (rows["phase"] == "after")
    taken = rows[shown & (rows["column"] == rows["task"])]
    check_one_run_per_seed(taken.assign(role="method"))
    cell = ["architecture", "task", "seed"]
    head = taken[taken["method"] == "fc_only"].set_index(cell)["value"].rename("head")
    arms = taken[taken["method"] != "fc_only"].join(head, on=cell)
    arms = arms.assign(gain=arms["value"] - arms["head"], arm=arms["variant"]).dropna(subset="gain")
    per_seed = arms.groupby(["arm", "architecture", "seed"], sort=False).agg(
        gain=("gain", "mean"), tasks=("task", "nunique"), params=("params_delta_full_size", "first")
    )
    per_seed = per_seed[per_seed["tasks"] == taken["task"].nunique()].reset_index()
    found = per_seed.groupby(["arm", "architecture"], sort=False).agg(
        gain=("gain", "mean"), sd=("gain", "std"), n=("gain", "count"), params=("params", "first")
    )
    found = found.reset_index()
    tasks = sorted(taken["task"].unique())
    return found.assign(
        gmac=found["arm"].map(costs),
        row_id=found["architecture"] + "/" + found["arm"],
        task="+".join(tasks),
        measured_on=";".join(tasks),
        measured_as=found["arm"],
    )


def ablation_page(frame: pd.DataFrame, scale: str) -> Page:
    """Arms from best to worst."""
    order = frame.sort_values("gain", ascending=False, ignore_index=True)
    usual = usual_n(order["n"])
    cells = pd.DataFrame(
        {
            "method": order["arm"],
            "gain": [
                cell_text(with_spread(gain, sd, sign="+"), n, usual)
                for gain, sd, n in zip(order["gain"], order["sd"], order["n"], strict=True)
            ],
            "params M": [f"{params / 1e6:.3f}" for params in order["params"]],
            "added GMAC": [f"{gmac:.3f}" for gmac in order["gmac"]],
        }
    )
    best = pd.DataFrame(False, index=cells.index, columns=cells.columns)
    best["gain"] = order["gain"] == order["gain"].max()
    return Page(
        name=ABLATION,
        title="Our own ablations of Delta (4)",
        caption=(
            f"Scale {scale}. Points of test top-1 above FC-only, averaged over {order['task'].iloc[0]}; "
            f"{over_seeds(order['n'])}; parameters and multiply-adds of the full-size net at 224 px."
        ),
        blocks=(PageBlock(title=", ".join(order["architecture"].unique()), cells=cells, best=best),),
        notes=(
            "'default' has gates alone and was the default before there were maps on skips; 'map: rank 16' is the "
            "default. Arms with 'map' in their name depart from it in what the name says, all others from the former.",
        ),
        commands=(),
    )


def labels(frame: pd.DataFrame) -> list[str]:
    """What the page calls each line of the frame."""
    return list(frame["arm"])


def ablation_figure(frame: pd.DataFrame, scale: str) -> "Figure":
    """Gain against trained parameters and against added multiply-adds; the line joins arms that none beats in both."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 4.8), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    groups = list(dict.fromkeys(arm.partition(":")[0] for arm in frame["arm"]))
    for axes, cost, name in zip(
        panels, ("params", "gmac"), ("trained parameters, full size", "added GMAC at 224 px"), strict=True
    ):
        for group in groups:
            part = frame[frame["arm"].str.partition(":")[0] == group]
            for place, line in enumerate(part.itertuples()):
                again, colour = divmod(groups.index(group), len(PALETTE))
                marker = (MORE_MARKERS if again else MARKERS)[place]
                size = 130 if line.arm in ("default", "map: rank 16") else 45
                axes.scatter(
                    getattr(line, cost),
                    line.gain,
                    s=size,
                    color=PALETTE[colour],
                    marker=marker,
                    label=line.arm,
                    zorder=3,
                )
        front = pareto(frame, cost)
        axes.plot(front[cost], front["gain"], color="grey", linewidth=1, linestyle="--", zorder=1)
        axes.set_xscale("log")
        axes.set_xlabel(name)
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("test top-1 above FC-only (points)")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper", fontsize=8)
    figure.suptitle(
        f"{', '.join(frame['architecture'].unique())}, {frame['task'].iloc[0]}, scale {scale}, "
        f"mean over n = {usual_n(frame['n'])} seed(s)", fontsize=10,
    )  # fmt: skip
    return figure


def pareto(frame: pd.DataFrame, cost: str, value: str = "gain") -> pd.DataFrame:
    """Lines that no other line beats in value at the same or a lower cost, cheapest first."""
    ordered = frame.sort_values([cost, value], ascending=[True, False])
    return ordered[ordered[value] > ordered[value].cummax().shift(fill_value=float("-inf"))]
