"""Arithmetic that printed tables must obey. Nothing here knows where the paper's errata are; `paper.ERRATA` does.

Checks compare tables with each other: Table 2 is a harmonic mean of Table 10, Table 4 a mean of Table 11 or of what
Table 2 implies, and numbers of different nets that agree to the last digit are copies.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from benchmarks.records.names import PATCHING
from benchmarks.records.rows import Scale
from reports import paper
from reports.pages.page import Page, plain_block, records
from reports.paper import PrintedCell

ROUNDING = 0.005
"""Half of the last printed digit."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something that cannot be right, or looks like a copy."""

    check: str
    cells: tuple[PrintedCell, ...]
    """What disagrees; which of them is wrong the arithmetic cannot tell."""
    says: str


def paper_findings() -> list[Finding]:
    """Every check on the paper's CSVs."""
    frames = {number: paper.printed(number) for number in (2, 3, 4, 10, 11)}
    pairs = _pairs(frames[10])
    return [
        *harmonic_means(frames[2], pairs),
        *sequence_means(frames[4], frames[11]),
        *implied_means(frames[4], frames[2], _base_of(frames[10])),
        *base_accuracies(pairs, _base_of(frames[10])),
        *copies_between_nets(frames[2]),
        *copies_in_a_row(frames[3]),
    ]


def harmonic_means(table2: pd.DataFrame, pairs: pd.DataFrame) -> Iterator[Finding]:
    """A harmonic mean that no two accuracies with the printed digits give."""
    for cell in records(table2.merge(pairs, on=["row_id", "task"])):
        low, high = (_harmonic(cell.base + e, cell.patch + e) for e in (-ROUNDING, ROUNDING))
        # Printed means may come from accuracies that were rounded before: one more digit of slack.
        if not low - 2 * ROUNDING <= cell.paper_value <= high + 2 * ROUNDING:
            yield Finding(
                check="harmonic mean",
                cells=(
                    _cell(2, cell.row_id, "harmonic_mean", cell.task),
                    _cell(10, cell.row_id, "base_top1", cell.task),
                    _cell(10, cell.row_id, "patch_top1", cell.task),
                ),
                says=f"{cell.base:.2f} and {cell.patch:.2f} give {_harmonic(cell.base, cell.patch):.2f}, "
                f"not {cell.paper_value:.2f}",
            )


def sequence_means(table4: pd.DataFrame, table11: pd.DataFrame) -> Iterator[Finding]:
    """A mean over a sequence that is not the best one over alphas (PAINT) or the only one (Delta) of Table 11."""
    means = table11.groupby(["architecture", "method", "n_delta_modules", "task", "alpha"], dropna=False, sort=False)
    best = means["paper_value"].mean().groupby(level=[0, 1, 2, 3], sort=False).max().rename("best").reset_index()
    for cell in records(table4.merge(best, on=["architecture", "method", "n_delta_modules", "task"])):
        if abs(cell.best - cell.paper_value) > 3 * ROUNDING:
            yield Finding(
                check="mean of a sequence",
                cells=(_cell(4, cell.row_id, "mean_top1", cell.task),),
                says=f"Table 11's best mean is {cell.best:.2f}, not {cell.paper_value:.2f}",
            )


def implied_means(table4: pd.DataFrame, table2: pd.DataFrame, base: pd.Series) -> Iterator[Finding]:
    """A mean of Delta-Networks over a sequence that the accuracies implied by Table 2 do not give."""
    deltas = table2[table2["method"] == "delta_networks"]
    known = {(cell.row_id, cell.task): cell.paper_value for cell in records(deltas)}
    for cell in records(table4[table4["method"] == "delta_networks"]):
        tasks = cell.task.split("+")
        if not all((cell.row_id, task) in known for task in tasks):
            continue
        above = base[cell.architecture]
        implied = [known[cell.row_id, task] * above / (2 * above - known[cell.row_id, task]) for task in tasks]
        mean = (above + sum(implied)) / (1 + len(tasks))
        if abs(mean - cell.paper_value) > 4 * ROUNDING:
            yield Finding(
                check="mean of implied accuracies",
                cells=(_cell(4, cell.row_id, "mean_top1", cell.task),),
                says=f"what Table 2 implies has the mean {mean:.2f}, not {cell.paper_value:.2f}",
            )


def base_accuracies(pairs: pd.DataFrame, base: pd.Series) -> Iterator[Finding]:
    """A base accuracy above that of the untouched net, or equal to that of another net."""
    owner = {value: architecture for architecture, value in base.items()}
    for cell in records(pairs):
        where = tuple(_cell(10, cell.row_id, quantity, cell.task) for quantity in ("base_top1", "patch_top1"))
        if cell.base > base[cell.architecture]:
            yield Finding(
                check="base accuracy",
                cells=where,
                says=f"{cell.base:.2f} on the base is above the untouched {base[cell.architecture]:.2f}"
                + (", which stands in the other place" if cell.patch == base[cell.architecture] else ""),
            )
        elif owner.get(cell.base, cell.architecture) != cell.architecture:
            yield Finding(
                check="base accuracy",
                cells=where[:1],
                says=f"{cell.base:.2f} is the base accuracy of {owner[cell.base]}, not of {cell.architecture} "
                f"({base[cell.architecture]:.2f})",
            )


def copies_between_nets(table: pd.DataFrame) -> Iterator[Finding]:
    """The same number for the same method and task on two nets."""
    for _, same in table.groupby(["method", "n_delta_modules", "task", "quantity", "printed"], sort=False):
        if same["architecture"].nunique() > 1:
            yield Finding(
                check="copy between nets",
                cells=tuple(_cell(2, cell.row_id, cell.quantity, cell.task) for cell in records(same)),
                says=f"{same['printed'].iloc[0]} stands at {' and '.join(same['architecture'])}",
            )


def copies_in_a_row(table: pd.DataFrame) -> Iterator[Finding]:
    """The same number twice in one row."""
    for (row_id, printed), same in table.groupby(["row_id", "printed"], sort=False):
        if len(same) > 1:
            yield Finding(
                check="copy in a row",
                cells=tuple(_cell(3, str(row_id), cell.quantity, cell.task) for cell in records(same)),
                says=f"{printed} stands at {' and '.join(same['task'])}",
            )


def row_findings(rows: pd.DataFrame) -> list[str]:
    """The same on our rows: what a run measured must agree with what else it, or its twin, measured."""
    found = []
    is_base = (rows["column"] != rows["task"]) & (rows["split"] == "test") & (rows["suite"] == PATCHING)
    before = rows[is_base & (rows["phase"] == "before")].set_index("run_id")["value"]
    after = rows[is_base & (rows["phase"] == "after")]
    kept = after[after["base_logits_equal"].fillna(False).astype(bool) | (after["alpha"] == 0)]
    kept = kept[~kept["variant"].str.endswith("+bn")]
    for row in records(kept.join(before.rename("untouched"), on="run_id")):
        if row.value != row.untouched:
            at = "" if pd.isna(row.alpha) else " at alpha = 0"
            found.append(
                f"{row.architecture} {row.task} {row.method} {row.variant} seed {row.seed}: {row.value:.2f} on the base"
                f"{at}, but {row.untouched:.2f} untouched."
            )
    for _, twins in rows[rows["phase"] == "before"].groupby(["architecture", "weights", "column", "split"]):
        if twins["value"].nunique() > 1:
            found.append(
                f"{twins['architecture'].iloc[0]}: the untouched net has {twins['value'].nunique()} accuracies on "
                f"{twins['column'].iloc[0]}, {twins['value'].min():.2f} to {twins['value'].max():.2f}."
            )
    return found


def lint_page(rows: pd.DataFrame, scale: Scale) -> tuple[pd.DataFrame, Page]:
    """Findings on the paper's tables and on our rows."""
    findings = paper_findings()
    numbers = {cell: f"E{erratum.number}" for erratum in paper.ERRATA for cell in erratum.cells}
    frame = pd.DataFrame(
        [
            {
                "check": finding.check,
                "where": "; ".join(f"T{c.table} {c.row_id} {c.task} {c.quantity}" for c in finding.cells),
                "finding": finding.says,
                "erratum": " ".join(dict.fromkeys(numbers[c] for c in finding.cells if c in numbers)),
            }
            for finding in findings
        ]
    )
    ours = row_findings(rows)
    page = Page(
        name="lint",
        title="Lint: numbers that cannot all be right",
        caption=f"Checks on the paper's tables ({len(findings)} findings) and on {len(rows)} rows of scale {scale} "
        f"({len(ours)} findings).",
        blocks=(plain_block("The paper", frame),),
        notes=tuple(ours),
        commands=(),
    )
    return frame, page


def _pairs(table10: pd.DataFrame) -> pd.DataFrame:
    """One line per row and task of Table 10 with its columns `base` and `patch`."""
    wide = table10.pivot_table(
        index=["row_id", "architecture", "method", "task"], columns="quantity", values="paper_value", sort=False
    )
    return wide.rename(columns={"base_top1": "base", "patch_top1": "patch"}).reset_index()


def _base_of(table10: pd.DataFrame) -> pd.Series:
    """Accuracy of each untouched net: what its rows print most often on the base task."""
    on_base = table10[table10["quantity"] == "base_top1"]
    return on_base.groupby("architecture", sort=False)["paper_value"].agg(lambda values: values.mode().iloc[0])


def _harmonic(a: float, b: float) -> float:
    return 2 * a * b / (a + b)


def _cell(table: int, row_id: str, quantity: str, task: str) -> PrintedCell:
    return PrintedCell(table=table, row_id=row_id, quantity=quantity, task=task)
