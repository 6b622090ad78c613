"""Table 5: nine ways to fine-tune at four shares of the training data, in the paper's layout.

The paper's baseline rows are the README tables of thuml/Transfer-Learning-Library, which report the best epoch on the
test split. So both are shown: weights after the last epoch, which is the honest number, and the best epoch as `oracle`.
"""

import shlex
from collections.abc import Callable, Hashable, Mapping
from functools import partial
from typing import Any

import pandas as pd

from benchmarks.methods.listing import READING_LABELS
from benchmarks.records.names import GATES_ALONE, LITERAL, PERCENTS
from benchmarks.records.rows import Scale
from benchmarks.suites.transfer.methods.listing import LABELS
from reports import paper
from reports.checks import RUN_CELL, check_comparable, check_one_run_per_seed
from reports.pages.commands import task_argument, whole_table
from reports.pages.page import Page, PageBlock, cell_text, over_seeds, printed_block, usual_n, with_spread
from reports.verdicts import PRINTED, difference_blocks, with_verdicts

NAME = "table5"
AVERAGE = "avg"
RATES = tuple(map(str, PERCENTS))
SELECTIONS = {
    "last": "after the last epoch",
    "oracle": "best epoch on the test split (oracle), as the paper's baselines are reported",
}
LINE = ["method", "variant", "n_delta_modules"]
NOTES = (
    "Origins: LWF, Li and Hoiem 2016. BSS, Chen et al. 2019. DELTA, Li et al. 2019. Co-Tuning, You et al. 2020. "
    "StochNorm, Kou et al. 2020. Bi-Tuning, Zhong et al. 2020. Losses and schedule of Vanilla and these six follow the "
    "scripts of thuml/Transfer-Learning-Library. Delta and Bi-Tuning + Delta: the paper (Section 3.2).",
    "The backbone trains in every row, at a tenth of the rate of the head and of Delta-modules.",
    "Which images a rate keeps: suites/transfer/rates.py; the lists behind the printed numbers are not public.",
)
COLUMNS = [
    *("table", "scale", "row_id", "architecture", *LINE, "task", "rate", "selection", "mean", "sd", "n", "best"),
    *("protocol", "weights", *PRINTED, "difference", "verdict"),
]


def transfer_frame(rows: pd.DataFrame, scale: Scale) -> pd.DataFrame:
    """Rows of the suite -> one line per architecture, method, task, rate (`avg`: mean over rates) and selection.

    `mean` and `sd` (ddof = 1) are over the `n` seeds, in per cent of top-1 on the test split. An average is taken seed
    by seed, over the rates that the architecture and task have; a seed that lacks one has no average.

    Returns:
        `COLUMNS`; lines of the paper that were not measured have blanks.

    Raises:
        UserError: if the rows must not meet in a table.
    """
    tests = rows[(rows["split"] == "test") & (rows["column"] == rows["task"]) & (rows["phase"] == "after")]
    tests = tests.assign(rate=tests["protocol"].str.extract(r"=(\d+)%$", expand=False))
    for _, part in tests.groupby("rate"):
        check_comparable(part)
        check_one_run_per_seed(part.assign(role=part["selection"]))
    place = [*RUN_CELL, "selection"]
    rates_of = tests.groupby(["architecture", "task"])["rate"].transform("nunique")
    seeds = tests.assign(rates=rates_of).groupby([*place, "seed"], sort=False)
    whole = seeds.agg(value=("value", "mean"), found=("rate", "nunique"), rates=("rates", "first")).reset_index()
    averages = whole[whole["found"] == whole["rates"]].assign(rate=AVERAGE)
    grouped = pd.concat([tests, averages]).groupby([*place, "rate"], sort=False)
    cells = grouped.agg(
        mean=("value", "mean"),
        sd=("value", "std"),
        n=("value", "count"),
        protocol=("protocol", "first"),
        weights=("weights", "first"),
    ).reset_index()
    top = cells.groupby(["architecture", "task", "rate", "selection"])["mean"].transform("max")
    cells["best"] = cells["mean"] == top
    printed = _printed() if scale == "paper" else _printed().iloc[:0]
    both = [printed.assign(selection=selection) for selection in SELECTIONS]
    keys = ["architecture", *LINE, "task", "rate", "selection"]
    frame = cells.merge(pd.concat(both), how="outer", on=keys).assign(table=5, scale=scale)
    frame["best"] = frame["best"].eq(True)
    frame["n"] = frame["n"].fillna(0).astype(int)
    order = {name: place for place, name in enumerate(LABELS)}
    frame["order"] = frame["method"].map(order).fillna(len(order))
    frame["rate_order"] = frame["rate"].map({rate: place for place, rate in enumerate((*RATES, AVERAGE))})
    frame = frame.sort_values(["architecture", "selection", "order", "variant", "task", "rate_order"], kind="stable")
    modules = frame["n_delta_modules"].map(lambda count: str(count) if count else "")
    parts = zip(frame["architecture"], frame["method"] + modules, frame["variant"], strict=True)
    frame["row_id"] = ["/".join(part for part in found if part) for found in parts]
    return with_verdicts(frame)[COLUMNS].reset_index(drop=True)


def transfer_page(frame: pd.DataFrame, scale: Scale, tasks: tuple[str, ...] = ()) -> Page:
    """A block for each architecture and selection, at scale `paper` with (printed) numbers, then the paper's own."""
    text = partial(_text, usual=usual_n(frame["n"]))
    blocks = [
        _block(f"{architecture}: {SELECTIONS[str(selection)]}", part, tasks, text)
        for (architecture, selection), part in frame.groupby(["architecture", "selection"], sort=False)
    ]
    alone = _printed().assign(mean=float("nan"), sd=float("nan"), n=0, best=False)
    blocks.append(printed_block(_block("", alone, (), _printed_text).cells, scale))
    blocks += difference_blocks(
        (f"{architecture}, {SELECTIONS[str(selection)]}", _lined(part))
        for (architecture, selection), part in frame.groupby(["architecture", "selection"], sort=False)
    )
    measured = frame[frame["n"] > 0]
    protocols = measured["protocol"].dropna().str.replace(r"=\d+%$", "", regex=True).unique()
    seeds = over_seeds(frame["n"])
    run = f"protocol {' | '.join(protocols)}; test split, {seeds}" if len(measured) else "not run"
    cell = "Cells: ours (printed). " if scale == "paper" else ""
    return Page(
        name=NAME,
        title="Table 5. Transfer learning: top-1 (%) by share of the training images",
        caption=(
            f"Scale {scale}; {run}. {cell}Bold: highest of a column. avg: mean over the rates shown, seed by seed."
        ),
        blocks=tuple(blocks),
        notes=(*NOTES, *paper.footnotes(_printed()["erratum"])),
        commands=_fill_commands(frame, scale),
    )


def _fill_commands(frame: pd.DataFrame, scale: str) -> tuple[str, ...]:
    """The command that measures what the frame, in which every line has all its tasks and rates, lacks."""
    if not frame["n"].any():
        return (whole_table(NAME, scale),)
    asked = frame[frame["selection"] == "last"]
    whole = asked[["architecture", *LINE]].drop_duplicates()
    cells = whole.merge(asked[["architecture", "task", "rate"]].drop_duplicates(), on="architecture")
    have = asked.loc[asked["n"] > 0, ["architecture", *LINE, "task", "rate"]]
    if len(cells) == len(have):
        return ()
    own = ["--arch", "ARCH", "--weights", "WEIGHTS", "--data-root", "DATA"] if scale == "local" else []
    lacking = cells.merge(have, how="left", indicator=True).query("_merge == 'left_only'")["task"].unique()
    tasks = [word for task in sorted(lacking) for word in ("--task", task_argument(task, scale))]
    rates = [rate for rate in RATES if rate in set(asked["rate"])]
    some = [word for rate in rates for word in ("--train-percent", rate)] if len(rates) < len(RATES) else []
    return (shlex.join(["nox", "-s", NAME, "--", "--scale", scale, *own, *tasks, *some]),)


def _printed() -> pd.DataFrame:
    """The paper's numbers: one line per cell, with the footnote sign of those not to trust."""
    frame = pd.read_csv(paper.TARGETS / f"{NAME}.csv", dtype=str, keep_default_na=False)
    frame = frame.rename(columns={"split": "rate", "value": "printed"})
    marks = {(c.row_id, c.task, c.quantity): e.mark for e in paper.ERRATA for c in e.cells if c.table == 5}
    addresses = zip(frame["row_id"], frame["task"], frame["rate"], strict=True)
    frame["erratum"] = [marks.get(address, "") for address in addresses]
    frame["n_delta_modules"] = frame["n_delta_modules"].astype("Int64")
    frame["variant"] = frame["n_delta_modules"].gt(0).map({True: LITERAL, False: ""})
    frame["paper_value"] = frame["printed"].astype(float)
    return frame[["architecture", *LINE, "task", "rate", *PRINTED]]


def _block(
    title: str, part: pd.DataFrame, tasks: tuple[str, ...], text: Callable[[Mapping[Hashable, Any]], str]
) -> PageBlock:
    """Lines are methods; columns are rates and their average, task by task."""
    shown = [(task, rate) for task in tasks or part["task"].unique() for rate in (*RATES, AVERAGE)]
    known = set(zip(part["task"], part["rate"], strict=True))
    columns = {f"{task} {_rate(rate)}": (task, rate) for task, rate in shown if (task, rate) in known}
    lines, best = [], []
    for _, line in part.groupby(LINE, sort=False):
        cells = {(cell["task"], cell["rate"]): cell for cell in line.to_dict("records")}
        first = next(iter(cells.values()))
        texts = {name: text(cells[key]) if key in cells else "" for name, key in columns.items()}
        lines.append({"method": _label(first["method"], first["variant"], first["n_delta_modules"])} | texts)
        best.append({name: key in cells and bool(cells[key]["best"]) for name, key in columns.items()})
    frame = pd.DataFrame(lines)
    return PageBlock(title=title, cells=frame, best=pd.DataFrame(best).reindex(columns=frame.columns).eq(True))


def _lined(part: pd.DataFrame) -> pd.DataFrame:
    places = zip(part["task"], part["rate"], strict=True)
    columns = [f"{task} {_rate(rate)}" for task, rate in places]
    return part.assign(line=labels(part), column=columns)


def labels(frame: pd.DataFrame) -> list[str]:
    """What the page calls each line of the frame."""
    return [_label(*line) for line in frame[LINE].itertuples(index=False, name=None)]


def _label(method: str, variant: str, modules: int) -> str:
    # Rows of gates alone have no arm (`benchmarks.suites.transfer.table`).
    arm = READING_LABELS[variant or GATES_ALONE] if modules else variant
    return f"{LABELS.get(method, method)}{f' ({modules})' if modules else ''} {arm}".rstrip()


def _rate(rate: str) -> str:
    return rate if rate == AVERAGE else f"{rate} %"


def _text(cell: Mapping[Hashable, Any], *, usual: int) -> str:
    """`41.20 ±0.45 (41.6)`: ours, its spread if there are seeds, and the printed number with its footnote sign."""
    printed = "" if pd.isna(cell["printed"]) else _printed_text(cell)
    return cell_text(with_spread(cell["mean"], cell["sd"]), cell["n"], usual, printed)


def _printed_text(cell: Mapping[Hashable, Any]) -> str:
    return f"{cell['printed']}{cell['erratum']}"
