"""Rows -> seeds -> cells -> one tidy frame per table. Every reduction has a name and nothing is stored twice."""

import itertools
import statistics
from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd

from benchmarks.records.names import BASE_AGREEMENT, PATCHING, TABLE1_WEIGHTS, TOP1
from benchmarks.records.rows import WITH_NETS_OF_THE_PAPER, Scale
from reports import paper
from reports.base_metric import BaseMetric, base_metric_of
from reports.checks import RUN_CELL, check_comparable, check_one_run_per_seed
from reports.tables.patching_lines import TABLES, PaperTable, TableRow
from reports.verdicts import PRINTED, with_verdicts

RUN = [*RUN_CELL, "seed", "run_id"]
CELL = [*RUN_CELL, "role"]
QUANTITIES = ["harmonic_mean", "base_top1", "patch_top1"]

Status = Literal["measured", "no_base", "not_applicable", "not_asked", "missing"]
"""`no_base`: run without base data, so no harmonic mean. `not_applicable`: the method does not exist for the net.
`not_asked`: a method that is not of the table, and was measured elsewhere in it."""

TIDY = [
    *("table", "scale", "row_id", *CELL, "quantity", "status", "mean", "sd", "n", "best"),
    *("base_metric", "base_before", "base_after", "patch_top1", "patch_top1_sd", "patch_top1_n"),
    *("harmonic_mean", "harmonic_mean_agreement", "alpha", "selection", "base_frozen"),
    *("params_delta", "params_delta_full_size", "params_head", "base_task", "protocol", "weights"),
    *("paper_value", "difference", "erratum", "params_printed", "params_erratum", "printed", "verdict"),
]
"""Columns of a table frame: one line per architecture, row, task and number in the cell.

`base_before` and `base_after` are what `base_metric` says; of the two harmonic means one is blank.
"""


def harmonic_mean(base: pd.Series, patch: pd.Series) -> pd.Series:
    """Harmonic mean of two accuracies (paper Sec. 7.1), element by element; 0 if both are 0, blank if one is."""
    total = base + patch
    return (2 * base * patch / total).where(total != 0, 0.0)


def harmonic_mean_of(accuracies: Sequence[float]) -> float:
    """Harmonic mean of any number of accuracies; 0 if one is 0, blank if one is blank."""
    if any(pd.isna(accuracy) for accuracy in accuracies):
        return float("nan")
    return statistics.harmonic_mean(accuracies)


def best_alpha(curves: pd.DataFrame, split: Literal["val", "test"]) -> pd.DataFrame:
    """PAINT's interpolation coefficient: the alpha with the highest harmonic mean on `split`, smallest on ties.

    Args:
        curves: one line per run, arm and alpha, with `base_<split>` and `patch_<split>` in per cent.
        split: where alpha is chosen; `test` is the oracle.

    Returns:
        One line of `curves` per run and arm, blank where no alpha can be chosen (no base data).
    """
    score = harmonic_mean(curves[f"base_{split}"], curves[f"patch_{split}"])
    scored = curves.assign(score=score).dropna(subset="score").sort_values("alpha", ignore_index=True)
    chosen = scored.loc[scored.groupby(RUN)["score"].idxmax()]  # idxmax is the first of equals: the smallest alpha
    return curves[RUN].drop_duplicates().merge(chosen.drop(columns="score"), how="left", on=RUN)


def full_fine_tuning(curves: pd.DataFrame, plain: pd.DataFrame) -> pd.DataFrame:
    """Fine-tuning read off PAINT's curve: alpha = 1 of an `lr=` arm, for cells without a fine-tuning run of their own.

    Arms with re-estimated BatchNorm are left out: at alpha = 1 they are no longer the fine-tuned net.
    """
    end = curves[(curves["alpha"] == 1) & ~curves["variant"].str.endswith("+bn")].assign(method="finetune")
    own = pd.MultiIndex.from_frame(plain.loc[plain["method"] == "finetune", RUN_CELL])
    return end[~pd.MultiIndex.from_frame(end[RUN_CELL]).isin(own)]


def per_seed(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of `suite=patching` -> one line per cell, role and seed.

    What was measured on the base is called `base_top1` here, and its mean with the patch task `harmonic_mean`, also
    where it is agreement: rows that mix the two are refused before (`base_metric_of`).

    Returns:
        `RUN`, `role`, `selection`, `alpha`, `QUANTITIES` and `base_before` (per cent, test split), and run facts.
    """
    rows = rows[rows["metric"].isin([TOP1, BASE_AGREEMENT])]
    is_base = rows["column"] != rows["task"]
    rows = rows.assign(slot=np.where(is_base, "base_", "patch_") + rows["split"].to_numpy(dtype=object))
    after = rows[rows["phase"] == "after"]
    curves = _one_line_per(after[after["alpha"].notna()], [*RUN, "alpha"])
    plain = _one_line_per(after[after["alpha"].isna()], RUN)
    seeds = pd.concat(
        [
            plain.assign(role=plain["method"].eq("finetune").map({True: "reference", False: "method"})),
            best_alpha(curves, "val").assign(role="method", selection="val"),
            best_alpha(curves, "test").assign(role="oracle", selection="oracle"),
            full_fine_tuning(curves, plain).assign(role="reference"),
        ],
        ignore_index=True,
    )
    seeds = seeds.rename(columns={"base_test": "base_top1", "patch_test": "patch_top1"})
    seeds["harmonic_mean"] = harmonic_mean(seeds["base_top1"], seeds["patch_top1"])
    facts = rows.groupby("run_id", sort=False).agg(
        protocol=("protocol", "first"),
        weights=("weights", "first"),
        run_selection=("selection", "first"),
        params_delta=("params_delta", "first"),
        params_delta_full_size=("params_delta_full_size", "first"),
        params_head=("params_head", "first"),
        sha_before=("backbone_sha_before", "first"),
        sha_after=("backbone_sha_after", "first"),
        logits_equal=("base_logits_equal", "first"),
    )
    facts["base_before"] = rows[rows["phase"] == "before"].groupby("run_id")["value"].first()
    facts["base_task"] = rows[rows["column"] != rows["task"]].groupby("run_id")["column"].first()
    seeds = seeds.merge(facts.reset_index(), on="run_id", how="left")
    seeds["selection"] = seeds["selection"].fillna(seeds["run_selection"])
    return seeds


def cells(seeds: pd.DataFrame) -> pd.DataFrame:
    """Seeds -> one line per cell: for each quantity q its mean `q`, `q_sd` (ddof = 1, blank for n = 1) and `q_n`."""
    grouped = seeds.assign(base_frozen=_base_frozen(seeds)).sort_values("seed", kind="stable").groupby(CELL, sort=False)
    spread = {q: (q, "mean") for q in QUANTITIES}
    spread |= {f"{q}_sd": (q, "std") for q in QUANTITIES} | {f"{q}_n": (q, "count") for q in QUANTITIES}
    facts = ("selection", "params_delta", "params_delta_full_size", "params_head", "base_task", "protocol", "weights")
    return grouped.agg(
        **spread,
        base_before=("base_before", "mean"),
        alpha=("alpha", lambda alphas: ";".join(f"{alpha:g}" for alpha in alphas.dropna())),
        base_frozen=("base_frozen", "min"),  # NO sorts before yes: one bad run spoils the cell
        **{fact: (fact, "first") for fact in facts},
    ).reset_index()


def table_frame(
    rows: pd.DataFrame,
    table: PaperTable,
    scale: Scale,
    architectures: tuple[str, ...] = (),
    tasks: tuple[str, ...] = (),
) -> pd.DataFrame:
    """The tidy frame of a table (columns `TIDY`); `rows` may be empty, then it holds the printed numbers only.

    Args:
        rows: rows of the table's suite and of `scale`.
        table: which rows stand in it, and which numbers in a cell.
        scale: scale of the rows.
        architectures: what to show, in this order; empty = the paper's (where the scale has them), then everything
            measured in order of appearance.
        tasks: the same for tasks.

    Raises:
        UserError: if the rows must not stand in one table.
    """
    rows = rows_of_table(rows, table, scale, tasks, architectures)
    check_comparable(rows)
    base = base_metric_of(rows)
    seeds = per_seed(rows)
    check_one_run_per_seed(seeds)
    measured = cells(seeds)
    printed = paper.printed(table.number)
    # Slim embedded nets carry the paper's names; the paper's data sets exist at scale paper only.
    known_architectures = list(printed["architecture"]) if scale in WITH_NETS_OF_THE_PAPER else []
    if scale == "embedded":
        known_architectures = [net for net in known_architectures if net not in table.large_architectures]
    rows_shown = _rows_shown(table, measured)
    known_tasks = list(printed["task"]) if scale == "paper" else []
    grid = pd.DataFrame(
        [
            (architecture, row.method, row.n_delta_modules, row.variant, task, row.role, row.row_id(architecture))
            for architecture, row, task in itertools.product(
                architectures or dict.fromkeys([*known_architectures, *rows["architecture"]]),
                rows_shown,
                tasks or dict.fromkeys([*known_tasks, *rows["task"]]),
            )
        ],
        columns=[*CELL, "row_id"],
    ).astype({"n_delta_modules": "Int64"})
    frame = grid.merge(measured, on=CELL, how="left", validate="one_to_one")
    frame["status"] = _status(frame, table)
    contest = frame["harmonic_mean"].where(frame["role"] == "method")
    frame["best"] = contest == contest.groupby([frame["architecture"], frame["task"]]).transform("max")
    frame = frame.assign(table=table.number, scale=scale, base_metric=base.metric, base_after=frame["base_top1"])
    lines = [
        frame.assign(quantity=q, mean=frame[q], sd=frame[f"{q}_sd"], n=frame[f"{q}_n"].fillna(0).astype(int))
        for q in table.quantities
    ]
    tidy = pd.concat(lines).sort_index(kind="stable").reset_index(drop=True)
    return _by_its_name(_with_paper(tidy, printed, scale), base)[TIDY]


def _by_its_name(tidy: pd.DataFrame, base: BaseMetric) -> pd.DataFrame:
    """Quantities and the column of harmonic means by the name of what was measured on the base."""
    names = {"base_top1": base.quantity, "harmonic_mean": base.harmonic_mean}
    tidy = tidy.assign(quantity=tidy["quantity"].replace(names)).rename(columns=names)
    return tidy.reindex(columns=[*tidy.columns, *(name for name in TIDY if name not in tidy)])


def rows_of_table(
    rows: pd.DataFrame,
    table: PaperTable,
    scale: Scale,
    tasks: tuple[str, ...] = (),
    architectures: tuple[str, ...] = (),
) -> pd.DataFrame:
    """Rows that stand in a table, or were asked for. Tables share runs: the rows of a suite are those of several."""
    rows = rows[rows["task"].str.contains("+", regex=False) == table.joint]
    if scale == "local":
        return rows
    if scale == "embedded" and table.drawn_tasks:
        rows = rows[rows["task"].isin([*table.drawn_tasks, *tasks])]
    if scale == "paper":
        rows = rows[(rows["weights"] == TABLE1_WEIGHTS) == (table.number == 1)]
        rows = rows[rows["task"].isin([*paper.printed(table.number)["task"], *tasks])]
    return rows[rows["architecture"].isin([*table.architectures, *architectures])] if table.architectures else rows


def competing(rows: pd.DataFrame, scale: Scale) -> pd.DataFrame:
    """Numbers that compete in Tables 1, 2 and 3, as of `per_seed`: one line per cell and seed, each run once."""
    patching = rows[rows["suite"] == PATCHING]
    found = [per_seed(rows_of_table(patching, table, scale)) for table in TABLES if table.number in (1, 2, 3)]
    seeds = pd.concat([part for part in found if len(part)] or found)
    keys = ["architecture", "task", "weights", "method", "variant", "n_delta_modules", "seed", "role"]
    return seeds[seeds["role"] == "method"].drop_duplicates(keys).dropna(subset="harmonic_mean")


def _one_line_per(rows: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Columns `base_val`, `base_test`, `patch_val`, `patch_test` (blank where not measured) per combination of keys."""
    slots = ["base_val", "base_test", "patch_val", "patch_test"]
    wide = rows.set_index([*keys, "slot"])["value"].unstack("slot")
    return wide.reindex(columns=slots).astype(float).rename_axis(columns=None).reset_index()


def _base_frozen(seeds: pd.DataFrame) -> pd.Series:
    """`yes` | `NO` per run that claims a frozen base (FC-only, Delta, whoever compared logits); blank else."""
    claims = seeds["method"].isin(["fc_only", "delta_networks"]) | seeds["logits_equal"].notna()
    intact = (seeds["sha_before"] == seeds["sha_after"]) & seeds["logits_equal"].fillna(False).astype(bool)
    return intact.map({True: "yes", False: "NO"}).where(claims)


def _rows_shown(table: PaperTable, measured: pd.DataFrame) -> list[TableRow]:
    """The table's rows in order, then whatever else was measured, in order of appearance."""
    columns = ["method", "variant", "n_delta_modules", "role"]
    found = [
        TableRow(**dict(zip(columns, values, strict=True))) for values in measured[columns].drop_duplicates().to_numpy()
    ]
    listed = [row for row in table.rows if row not in table.rows_if_measured or row in found]
    return listed + [row for row in found if row not in table.rows]


def _status(frame: pd.DataFrame, table: PaperTable) -> list[Status]:
    """Status of every cell of the grid, from what was measured in it and beside it."""
    arms = set(zip(*(frame.loc[frame["selection"].notna(), name] for name in ("architecture", "variant")), strict=True))

    listed = {(row.method, row.variant, row.n_delta_modules) for row in table.rows}

    def one(architecture: str, method: str, n: int, variant: str, selection: object, mean: float) -> Status:
        if not pd.isna(mean):
            return "measured"
        if not pd.isna(selection):
            return "no_base"
        # One run writes both arms, so an arm that never comes with its twin does not exist for this net.
        plain_arm = variant.removesuffix("+bn")
        if variant != plain_arm and (architecture, plain_arm) in arms and (architecture, variant) not in arms:
            return "not_applicable"
        return "missing" if (method, variant, n) in listed else "not_asked"

    names = ("architecture", "method", "n_delta_modules", "variant", "selection", "harmonic_mean")
    columns = (frame[name] for name in names)
    return [one(*values) for values in zip(*columns, strict=True)]


def _with_paper(tidy: pd.DataFrame, printed: pd.DataFrame, scale: Scale) -> pd.DataFrame:
    """Add printed counts to every row of a printed method, and printed values where the data are the paper's.

    An oracle or a reference row is not what the paper reports, and a reading of our own not what it describes, so
    nothing is printed beside them.
    """
    tidy = tidy.assign(reading=paper.reading_of(tidy))
    line = ["architecture", "method", "n_delta_modules", "reading"]
    tidy = tidy.merge(printed[[*line, "params_printed", "params_erratum"]].drop_duplicates(), on=line, how="left")
    values = printed[[*paper.PRINTED_KEY, *PRINTED]].assign(role="method")
    tidy = tidy.merge(values if scale == "paper" else values.iloc[:0], on=[*paper.PRINTED_KEY, "role"], how="left")
    return with_verdicts(tidy)
