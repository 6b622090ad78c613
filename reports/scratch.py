"""Tables 12 and 13: nets from scratch, as they are and with Delta-modules that train with them."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from benchmarks.record import Scale
from reports import paper
from reports.checks import check_comparable, check_one_run_per_seed
from reports.layout import Block, Page

LABELS = {"standard": "from scratch", "delta_networks": "Delta (4) from scratch"}
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


def scratch_frame(rows: pd.DataFrame, table: ScratchTable) -> pd.DataFrame:
    """Rows of a table's suite -> one line per cell.

    A task that was measured in top-5 is shown in top-5, as the paper does for ImageNet. `gain` is what Delta-modules
    add, seed by seed.

    Returns:
        Columns `CELL`, `row_id`, `mean`, `sd` (ddof = 1), `n`, `gain`, `gain_sd`, `printed` and `paper_value`.

    Raises:
        UserError: if the rows must not be averaged.
    """
    check_comparable(rows)
    taken = rows[(rows["split"] == "test") & (rows["column"] == rows["task"]) & (rows["phase"] == "after")]
    metric = taken.groupby("task")["metric"].transform(lambda names: "top5" if "top5" in set(names) else "top1")
    taken = taken[taken["metric"] == metric]
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
    ).reset_index()
    found["row_id"] = found["architecture"] + "/" + found["method"].replace({"delta_networks": "delta4"})
    printed = paper.printed(table.number)
    keys = ["architecture", "method", "task"]
    return found.merge(printed[[*keys, "printed", "paper_value"]], on=keys, how="left")


def scratch_page(frame: pd.DataFrame, table: ScratchTable, scale: Scale) -> Page:
    """One block per architecture: both ways and what Delta adds; then the printed table."""
    blocks = [_block(str(name), part) for name, part in frame.groupby("architecture", sort=False)]
    seeds = f"mean ±sd over n = {int(frame['n'].max())} seed(s)" if len(frame) else "not run"
    return Page(
        name=table.name,
        title=f"Table {table.number}. {table.title}",
        caption=f"Scale {scale}; test split, {seeds}. Both start from the same weights; the paper gives no schedule.",
        blocks=(*blocks, _printed(table)),
        notes=("difference: Delta (4) minus plain net, paired by seed.",) if len(frame) else (),
        commands=() if len(frame) else (f"nox -s {table.name} -- --scale {scale}",),
    )


def _block(title: str, part: pd.DataFrame) -> Block:
    tasks = list(part["task"].unique())
    names = {task: _heading(task, metric) for task, metric in zip(part["task"], part["metric"], strict=True)}
    lines = []
    best = []
    top = part.groupby("task")["mean"].max()
    for method, label in LABELS.items():
        cells = part[part["method"] == method].set_index("task")
        lines.append({"method": label} | {names[t]: _text(cells, t, "mean", "sd", "") for t in tasks})
        best.append({names[t]: t in cells.index and cells.loc[t, "mean"] == top[t] for t in tasks})
    gains = part[part["method"] == "delta_networks"].set_index("task")
    lines.append({"method": "difference"} | {names[t]: _text(gains, t, "gain", "gain_sd", "+") for t in tasks})
    best.append({names[task]: False for task in tasks})
    cells = pd.DataFrame(lines)
    return Block(title=title, cells=cells, best=pd.DataFrame(best).reindex(columns=cells.columns, fill_value=False))


def _text(cells: pd.DataFrame, task: str, value: str, sd: str, sign: str) -> str:
    """`81.20 ±0.45`; blank where not measured, no spread for one seed."""
    lines: dict[Any, dict[Any, Any]] = cells[[value, sd]].to_dict("index")
    line = lines.get(task)
    if line is None or pd.isna(line[value]):
        return ""
    return f"{line[value]:{sign}.2f}" + ("" if pd.isna(line[sd]) else f" ±{line[sd]:.2f}")


def _heading(task: str, metric: str) -> str:
    return f"{task} top-5" if metric == "top5" else task


def _printed(table: ScratchTable) -> Block:
    printed = paper.printed(table.number)
    wide = printed.pivot(index=["architecture", "method"], columns="task", values="printed").fillna("").reset_index()
    wide = wide[["architecture", "method", *printed["task"].unique()]].rename_axis(columns=None)
    wide["method"] = wide["method"].replace(LABELS)
    return Block(
        title="Printed in the paper (other data, other scale: not comparable cell by cell)",
        cells=wide,
        best=pd.DataFrame(False, index=wide.index, columns=wide.columns),
        source="paper",
    )
