"""Tables 12 and 13: nets from scratch, as they are and with Delta-modules that train with them."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from benchmarks.methods.listing import SCRATCH_LABELS
from benchmarks.records.names import TOP5_TASKS
from benchmarks.records.rows import Scale
from reports import paper
from reports.checks import check_comparable, check_one_run_per_seed
from reports.pages.commands import fill_commands, whole_table
from reports.pages.page import Page, PageBlock, cell_text, over_seeds, printed_block, records, usual_n, with_spread
from reports.verdicts import beside_printed, difference_blocks

CELL = ["architecture", "method", "n_delta_modules", "task", "metric"]


@dataclass(frozen=True, kw_only=True)
class ScratchTable:
    """One of the two tables."""

    number: int
    title: str

    @property
    def name(self) -> str:
        """Command-line name, nox session and suite."""
        return f"table{self.number}"


SCRATCH_TABLES = (
    ScratchTable(number=12, title="Fine-grained tasks from scratch: top-1 (%)"),
    ScratchTable(number=13, title="Common tasks from scratch: top-1 (%), top-5 for the large one"),
)


def scratch_frame(rows: pd.DataFrame, table: ScratchTable, scale: Scale) -> pd.DataFrame:
    """Rows of a table's suite -> one line per cell; at scale `paper` also for printed cells that were not measured.

    ImageNet, and what plays it, is shown in top-5 as in the paper, all others in top-1. `gain` is what Delta-modules
    add, seed by seed.

    Returns:
        Columns `CELL`, `row_id`, `mean`, `sd` (ddof = 1), `n`, `gain`, `gain_sd`, `gain_n`, `PRINTED`, `difference`,
        `verdict`.

    Raises:
        UserError: if the rows must not be averaged.
    """
    check_comparable(rows)
    taken = rows[(rows["split"] == "test") & (rows["column"] == rows["task"]) & (rows["phase"] == "after")]
    taken = taken[taken["metric"] == taken["task"].isin(TOP5_TASKS).map({True: "top5", False: "top1"})]
    check_one_run_per_seed(taken.assign(role="method"))
    pair = ["architecture", "task", "seed"]
    plain = taken[taken["method"] == "standard"].set_index(pair)["value"].rename("plain")
    taken = taken.join(plain, on=pair)
    taken = taken.assign(gain=(taken["value"] - taken["plain"]).where(taken["method"] != "standard"))
    grouped = taken.groupby(CELL, sort=False)
    found = grouped.agg(
        mean=("value", "mean"),
        sd=("value", "std"),
        n=("value", "count"),
        gain=("gain", "mean"),
        gain_sd=("gain", "std"),
        gain_n=("gain", "count"),
    ).reset_index()
    printed = _paper(table)
    frame = beside_printed(found, printed if scale == "paper" else printed.iloc[:0], CELL)
    return frame.assign(row_id=frame["architecture"] + "/" + frame["method"].replace({"delta_networks": "delta4"}))


def scratch_page(frame: pd.DataFrame, table: ScratchTable, scale: Scale) -> Page:
    """One block per architecture: both ways and what Delta adds; then the printed table."""
    lined = frame.assign(line=labels(frame), column=frame["task"])
    by_architecture = [(str(name), part) for name, part in lined.groupby("architecture", sort=False)]
    measured = frame[frame["n"] > 0]
    usual = usual_n(frame["n"])
    cell = " Cells: ours (printed)." if scale == "paper" else ""
    return Page(
        name=table.name,
        title=f"Table {table.number}. {table.title}",
        caption=f"Scale {scale}; test split, {over_seeds(frame['n'])}.{cell} "
        "Both start from the same weights; the paper gives no schedule.",
        blocks=(
            *(_block(name, part, usual) for name, part in by_architecture),
            _printed(table, scale),
            *difference_blocks(by_architecture),
        ),
        notes=_notes(scale) if len(measured) else (),
        commands=fill_commands(_missing(frame), table.name, scale) if len(frame) else (whole_table(table.name, scale),),
    )


def labels(frame: pd.DataFrame) -> list[str]:
    """What the page calls each line of the frame."""
    return list(frame["method"].replace(SCRATCH_LABELS))


def _notes(scale: Scale) -> tuple[str, ...]:
    difference = "difference: Delta (4) minus plain net, paired by seed."
    if scale != "paper":
        return (difference,)
    recipes = (
        "Recipes: CIFAR at 32 px as in kuangliu/pytorch-cifar (padded crops, flips, cosine), photographs at 224 px as "
        "in pytorch/examples, imagenet (crops of 8 to 100 % of the area, flips, a tenth of the rate after each third); "
        "numbers of epochs are ours."
    )
    return (difference, recipes)


def _missing(frame: pd.DataFrame) -> pd.DataFrame:
    """Architectures and tasks that were not measured, or in one of the two ways alone."""
    ways = frame[frame["n"] > 0].groupby(["architecture", "task"], sort=False)["method"].nunique().rename("ways")
    cells = frame[["architecture", "task"]].drop_duplicates().join(ways, on=["architecture", "task"])
    return cells[~cells["ways"].eq(len(SCRATCH_LABELS))]


def _block(title: str, part: pd.DataFrame, usual: int) -> PageBlock:
    names = {task: _heading(task, metric) for task, metric in zip(part["task"], part["metric"], strict=True)}
    found: dict[Any, dict[Any, Any]] = part.set_index(["method", "task"]).to_dict("index")
    top = part.groupby("task")["mean"].max().rename(names)

    def measured(method: str) -> dict[str, dict[Any, Any]]:
        """Heading -> line of the frame, where there is one."""
        return {name: found[method, task] for task, name in names.items() if (method, task) in found}

    lines: list[dict[str, str]] = []
    best: list[dict[str, bool]] = []
    for method, label in SCRATCH_LABELS.items():
        texts = {
            name: cell_text(with_spread(line["mean"], line["sd"]), line["n"], usual, line["printed"])
            for name, line in measured(method).items()
        }
        lines.append({"method": label} | texts)
        best.append({name: line["mean"] == top[name] for name, line in measured(method).items()})
    gains = {
        name: cell_text(with_spread(line["gain"], line["gain_sd"], sign="+"), line["gain_n"], usual)
        for name, line in measured("delta_networks").items()
    }
    lines.append({"method": "difference"} | gains)
    best.append({})
    cells = pd.DataFrame(lines, columns=["method", *names.values()]).fillna("")
    return PageBlock(title=title, cells=cells, best=pd.DataFrame(best).reindex(columns=cells.columns).eq(True))


def _heading(task: str, metric: str) -> str:
    return f"{task} top-5" if metric == "top5" else task


def _paper(table: ScratchTable) -> pd.DataFrame:
    printed = paper.printed(table.number)
    return printed.assign(metric=printed["quantity"].replace({"patch_top1": "top1"}))


def _printed(table: ScratchTable, scale: Scale) -> PageBlock:
    printed = _paper(table)
    lines = pd.MultiIndex.from_frame(printed[["architecture", "method"]].drop_duplicates())
    wide = printed.pivot(index=["architecture", "method"], columns="task", values="printed")
    cells = wide.reindex(index=lines, columns=printed["task"].unique()).fillna("").rename_axis(columns=None)
    headings = {line.task: _heading(line.task, line.metric) for line in records(printed)}
    return printed_block(cells.rename(columns=headings).reset_index().replace({"method": SCRATCH_LABELS}), scale)
