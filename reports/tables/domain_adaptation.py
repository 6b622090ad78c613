"""Table 6: top-1 on a target domain, what each row saw of it, and which orderings hold."""

import shlex

import pandas as pd

from benchmarks.records.names import VALIDATED
from benchmarks.records.rows import Scale
from benchmarks.suites.domain_adaptation.listing import label_of
from reports import paper
from reports.checks import check_comparable, check_one_run_per_seed
from reports.pages.commands import whole_table
from reports.pages.page import Page, PageBlock, cell_text, over_seeds, printed_block, usual_n, with_spread
from reports.verdicts import PRINTED, difference_blocks, with_verdicts

NAME = "table6"
ARCHITECTURE = "resnet18"

SETTINGS = {"vanilla": "zero-shot", "adda": "unsupervised DA", "target_only": "target labels"}
"""First part of a method's name -> what it sees of the target."""


PICKED = {"last": "last weights", "validated": "weights picked without target labels"}
"""How the evaluated weights were picked, in words."""


def domain_frame(rows: pd.DataFrame, scale: Scale, tasks: tuple[str, ...] = ()) -> pd.DataFrame:
    """Rows of the suite -> one line per way of picking weights, method and transfer, the paper's nine methods first.

    Args:
        rows: of one scale; may be empty.
        scale: decides whether the printed transfers stand in the frame without having been measured.
        tasks: transfers to show, in this order; empty = all.

    Returns:
        Columns `picked` (`last` | `validated`), `method`, `setting`, `task`, `mean`, `sd` (ddof = 1), `n`,
        `protocol`, `row_id`, `architecture`, `measured_as` (see `reports.findings.explain`), `PRINTED`, `difference`,
        `verdict`; `mean` is blank and `n` 0 where nothing was measured.

    Raises:
        UserError: if the rows must not be averaged.
    """
    check_comparable(rows)
    target = rows["task"].str.split("->").str[1]
    taken = rows[(rows["column"] == target) & (rows["split"] == "test") & (rows["metric"] == "top1")]
    validated = taken["variant"].str.endswith(VALIDATED)
    taken = taken.assign(
        role="method",
        picked=validated.map({True: "validated", False: "last"}),
        setting=taken["variant"].str.removesuffix(VALIDATED),
    )
    check_one_run_per_seed(taken)
    cell = ["picked", "method", "setting", "task"]
    grouped = taken.groupby(cell, sort=False)
    measured = grouped.agg(
        mean=("value", "mean"), sd=("value", "std"), n=("value", "count"), protocol=("protocol", "first")
    )
    printed = paper.printed(6)
    listed = [(method, SETTINGS[method.partition("+")[0]]) for method in dict.fromkeys(printed["method"])]
    found = list(taken[["method", "setting"]].drop_duplicates().itertuples(index=False, name=None))
    shown = tasks or tuple(dict.fromkeys([*(printed["task"] if scale == "paper" else ()), *rows["task"]]))
    grid = pd.DataFrame(
        [
            (picked, method, setting, task)
            for picked in ("last", "validated")
            for method, setting in dict.fromkeys([*listed, *found])
            for task in shown
        ],
        columns=cell,
    )
    frame = grid.merge(measured.reset_index(), on=cell, how="left")
    frame["n"] = frame["n"].fillna(0).astype(int)
    values = printed if scale == "paper" else printed.iloc[:0]
    frame = frame.merge(values[["method", "task", *PRINTED]], on=["method", "task"], how="left")
    frame["row_id"] = frame["method"] + "/" + frame["picked"]
    frame["measured_as"] = frame["setting"] + frame["picked"].map({"last": "", "validated": VALIDATED})
    return with_verdicts(frame.assign(architecture=ARCHITECTURE))


def domain_page(frame: pd.DataFrame, scale: Scale) -> Page:
    """Last weights, then those that a validator picked, then the printed table."""
    usual = usual_n(frame["n"])
    parts = [(PICKED[str(picked)], part) for picked, part in frame.groupby("picked", sort=False)]
    protocols = " | ".join(frame["protocol"].dropna().unique())
    run = f"protocol {protocols}; {over_seeds(frame['n'])}" if usual else "not run"
    return Page(
        name=NAME,
        title="Table 6. Domain adaptation: top-1 (%) on the target's test split",
        caption=(f"Scale {scale}; {run}. Nets are trained from scratch. Bold: best row that sees no target labels."),
        blocks=(
            *(_block(f"ResNet-18, {title}", part, usual) for title, part in parts),
            _printed(scale),
            *difference_blocks((title, _lined(part)) for title, part in parts),
        ),
        notes=(
            *_orderings(frame[frame["picked"] == "last"]),
            "zero-shot: nothing of the target is seen. unsupervised DA: unlabelled target training images are. "
            "target labels: trained on the target itself, for reference.",
            "Picked weights: best held-out source top-1 (zero-shot), most mutual information between unlabelled target "
            "images and predictions (unsupervised DA), best held-out top-1 (target labels).",
        ),
        commands=_commands(frame, scale),
    )


def _orderings(last: pd.DataFrame) -> list[str]:
    """Whether source-only < ADDA < target-only, and what each addition changes, transfer by transfer."""
    means = last.pivot_table(index="method", columns="task", values="mean", sort=False)
    names = ("vanilla", "adda", "target_only")
    if not set(names) <= set(means.index):
        return []
    plain = means.loc[list(names)].dropna(axis="columns")
    holds = (plain.loc["vanilla"] < plain.loc["adda"]) & (plain.loc["adda"] < plain.loc["target_only"])
    parts = [f"{task}: {'holds' if holds[task] else 'DOES NOT HOLD'}" for task in plain.columns]
    return [f"Source-only < ADDA < target only: {', '.join(parts)}."] if parts else []


def _commands(frame: pd.DataFrame, scale: Scale) -> tuple[str, ...]:
    if frame.empty:
        return (whole_table(NAME, scale),)
    missing = list(frame.loc[(frame["picked"] == "last") & (frame["n"] == 0), "task"].unique())
    if not missing:
        return ()
    data = [] if scale == "embedded" else ["--data-root", "DATA"]
    return (
        shlex.join(["nox", "-s", NAME, "--", "--scale", scale, *data, *(w for t in missing for w in ("--task", t))]),
    )


def _block(title: str, part: pd.DataFrame, usual: int) -> PageBlock:
    numbers = zip(part["mean"], part["sd"], part["n"], part["printed"], strict=True)
    texts = part.assign(text=[cell_text(with_spread(mean, sd), n, usual, printed) for mean, sd, n, printed in numbers])
    wide = texts.set_index(["method", "setting", "task"])["text"].unstack("task", sort=False)
    means = part.set_index(["method", "setting", "task"])["mean"].unstack("task", sort=False)
    contest = means[means.index.get_level_values("setting") != "target labels"]
    best = (means == contest.max()) & means.index.isin(contest.index)[:, None]
    cells = wide.rename_axis(columns=None).reset_index()
    best = best.rename_axis(columns=None).reset_index(drop=True)
    cells["method"] = [label_of(method) for method in cells["method"]]
    return PageBlock(title=title, cells=cells, best=best.reindex(columns=cells.columns, fill_value=False))


def _printed(scale: Scale) -> PageBlock:
    printed = paper.printed(6)
    cells = printed.set_index(["method", "task"])["printed"].unstack("task", sort=False)
    cells = cells.rename_axis(columns=None).reset_index()
    cells.insert(1, "setting", [SETTINGS[method.partition("+")[0]] for method in cells["method"]])
    cells["method"] = [label_of(method) for method in cells["method"]]
    return printed_block(cells, scale)


def _lined(part: pd.DataFrame) -> pd.DataFrame:
    return part.assign(line=[label_of(method) for method in part["method"]], column=part["task"])


def labels(frame: pd.DataFrame) -> list[str]:
    """What the page calls each line of the frame; those of picked weights with the title of their block."""
    lines = zip(frame["method"], frame["picked"], strict=True)
    return [label_of(method) + ("" if picked == "last" else f", {PICKED[picked]}") for method, picked in lines]
