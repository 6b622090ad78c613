"""Rows: one measured value with everything needed to trust it. On disk they are two tables, of runs and of values.

This package does not import torch, so that reports can read rows without it.
"""

import sys
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Literal, get_args

import pandas as pd
import pandera.pandas as pa

from benchmarks.records.names import BASE_AGREEMENT, TOP1, TOP5

SCHEMA_VERSION = 3

SCRATCH = "scratch"
"""Weights of a run that starts from no pre-trained net: they are drawn by the run's seed."""

Scale = Literal["real", "embedded", "local", "paper"]
SCALES: tuple[Scale, ...] = ("real", "embedded", "local", "paper")
"""In the order in which reports show them: what says most of the method first."""
WITH_NETS_OF_THE_PAPER: tuple[Scale, ...] = ("embedded", "paper")
"""Scales whose nets are called as in the paper's tables."""

Selection = Literal["last", "val", "oracle"]
"""How the evaluated weights were picked; `oracle` = on the reported test split."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One measured value and the run that it belongs to. `None` is a blank cell, never a zero.

    `VALUE_COLUMNS` differ from row to row, all others are the run's. `KEY` tells rows apart. Derived
    values (harmonic mean, best alpha, averages) are reductions made by `reports` and never stored.
    """

    # identity
    run_id: str
    suite: str
    """`patching` | `base` (pre-training of an embedded base) | `study_defaults` (what our defaults rest on) |
    `transfer` (Table 5)."""
    scale: Scale
    protocol: str
    """How the run differs from other measurements of the same cell, e.g. `epochs=6,px=32,views=1`."""
    architecture: str
    weights: str
    method: str
    """Name of the paper's CSVs (`paint`, `delta_networks`) or of our own rows (`fc_only`, `finetune`)."""
    variant: str
    """Arm of a method, e.g. `lr=0.001`, `lr=0.001+bn`, `paper`; empty for a method without arms."""
    n_delta_modules: int
    task: str
    seed: int
    # value
    column: str
    """Data set evaluated: the base task, the patch task, or a part of it (`detection/class/disc`, Table 7)."""
    phase: Literal["before", "after"]
    split: Literal["val", "test"]
    alpha: float | None
    """Interpolation coefficient (PAINT only): 0 = base, 1 = fine-tuned."""
    metric: str
    value: float
    """Per cent, unrounded."""
    n_examples: int
    selection: Selection
    # size and cost
    params_delta: int
    """Trainable parameters of this run without the head."""
    params_head: int
    params_backbone: int
    params_delta_full_size: int | None
    """`params_delta` of the full-size architecture of the same name (embedded nets are slim)."""
    steps: int
    global_batch: int
    world_size: int
    train_s: float
    eval_s: float
    peak_mem_mb: float
    """Peak of the process (resident set on CPU, allocated on CUDA) in the run. In rows from before December 2026, and
    where a process cannot begin its peak anew, the largest since its start, that of earlier runs included."""
    # proof that the base stayed frozen
    backbone_sha_before: str
    backbone_sha_after: str
    base_logits_equal: bool | None
    """Base logits with patches off, after training, bit-identical to before; None for methods that change the base."""
    data_sha: str
    transform: str
    # provenance
    config: str
    """Resolved config of the run as JSON."""
    git_sha: str
    git_dirty: bool
    versions: str
    device: str
    precision: str
    deterministic: bool
    measured_at: str
    """UTC, ISO 8601."""
    schema_version: int = SCHEMA_VERSION


KEY = ("run_id", "variant", "column", "phase", "split", "alpha", "metric", "selection")
"""What tells values apart."""

VALUE_COLUMNS = (*KEY, "value", "n_examples")
"""Columns of values.csv."""

RUN_COLUMNS = tuple(field.name for field in fields(Row) if field.name not in VALUE_COLUMNS[1:])
"""Columns of runs.csv."""

ROW_ORDER = ("suite", "architecture", "task", "method", "n_delta_modules", "variant", "seed", *KEY)
"""Rows are read in this order."""

RUN_ORDER = ("suite", "architecture", "task", "method", "n_delta_modules", "config", "seed", "run_id")
"""Runs stand in this order, values of a run in the order of `KEY`: a new run adds lines in one place of each file."""


def _dtype(declared: object) -> str:
    if declared in (int, int | None):
        return "Int64"
    if declared in (bool, bool | None):
        return "boolean"
    return "float64" if declared in (float, float | None) else "str"


DTYPES: dict[str, str] = {field.name: _dtype(field.type) for field in fields(Row)}
"""Column -> pandas dtype; the nullable ones keep a blank cell apart from 0 and False."""


RANGES: dict[str, tuple[float, float]] = {
    "value": (0, 100),
    "alpha": (0, 1),
    **dict.fromkeys(("train_s", "eval_s", "peak_mem_mb"), (0, sys.float_info.max)),
}
"""Column -> least and largest value."""

CHOICES = {"scale": SCALES, "schema_version": (SCHEMA_VERSION,)}
NULLABLE = {field.name for field in fields(Row) if type(None) in get_args(field.type)}

COUNTED = {TOP1: 0.0, BASE_AGREEMENT: 0.0, TOP5: 2.0**-22}
"""Metric that is a share of the examples -> relative error that it was computed with: top-5 in single precision."""


def off_whole(metric: str, value: float, n_examples: int) -> bool:
    """Whether a share is of no whole number of examples, so that it cannot have been measured.

    >>> off_whole("top1", 91.8, 500), off_whole("top1", 91.9, 500), off_whole("mIoU", 91.9, 500)
    (False, True, False)
    """
    examples = value * n_examples / 100
    return metric in COUNTED and abs(examples - round(examples)) > 1e-6 + COUNTED[metric] * examples


def _whole(rows: pd.DataFrame) -> "pd.Series[bool]":
    """Where `off_whole` does not hold, for all rows at once."""
    examples = rows["value"] * rows["n_examples"].astype("float64") / 100
    off = (examples - examples.round()).abs() > 1e-6 + rows["metric"].map(COUNTED) * examples
    return ~off


def schema_of(names: Iterable[str], unique: Iterable[str]) -> pa.DataFrameSchema:
    """What a frame of these columns must satisfy: types, value ranges, one line per key."""
    checks = {
        **{name: pa.Check.in_range(*bounds) for name, bounds in RANGES.items()},
        **{name: pa.Check.isin(choices) for name, choices in CHOICES.items()},
    }
    columns = {name: pa.Column(DTYPES[name], checks.get(name), nullable=name in NULLABLE) for name in names}
    whole = pa.Check(_whole, name="a whole number of examples") if "value" in columns else None
    return pa.DataFrameSchema(columns, whole, unique=list(unique), strict=True, ordered=True)


def row_schema() -> pa.DataFrameSchema:
    """What a frame of rows must satisfy."""
    return schema_of(DTYPES, KEY)


def runs_schema() -> pa.DataFrameSchema:
    """What runs.csv must satisfy."""
    return schema_of(RUN_COLUMNS, ["run_id"])


def values_schema() -> pa.DataFrameSchema:
    """What values.csv must satisfy."""
    return schema_of(VALUE_COLUMNS, KEY)


def to_frame(rows: Iterable[Row]) -> pd.DataFrame:
    """Rows as a typed data frame in schema order (not validated)."""
    return pd.DataFrame([vars(row) for row in rows], columns=list(DTYPES)).astype(DTYPES)


def split_rows(rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows as the two tables, sorted and validated: one line a run, one line a value.

    Raises:
        SchemaError: for values out of range, two values of one key, or a run that says two things of itself.
    """
    runs = _once(rows[list(RUN_COLUMNS)]).sort_values(list(RUN_ORDER), ignore_index=True)
    runs = runs_schema().validate(runs)
    place = pd.Series(runs.index, index=runs["run_id"])
    values = rows[list(VALUE_COLUMNS)].assign(place=rows["run_id"].map(place))
    values = values.sort_values(["place", *KEY], ignore_index=True).drop(columns="place")
    return runs, values_schema().validate(values)


def _once(rows: pd.DataFrame) -> pd.DataFrame:
    """Lines that differ, as `drop_duplicates` gives them, and sooner where a run says one thing of itself."""
    first = rows[~rows["run_id"].duplicated()]
    place = pd.Series(range(len(first)), index=first["run_id"])
    like = first.iloc[rows["run_id"].map(place)].set_index(rows.index)
    return first if like.equals(rows) else rows.drop_duplicates()


def join_rows(runs: pd.DataFrame, values: pd.DataFrame) -> pd.DataFrame:
    """The two tables as validated rows.

    Raises:
        ValueError: for a value without its run, or a run without values.
    """
    lonely = set(runs["run_id"]) ^ set(values["run_id"])
    if lonely:
        raise ValueError(f"run {min(lonely)} stands in one of runs.csv and values.csv alone")
    return joined(runs_schema().validate(runs), values_schema().validate(values))


def joined(runs: pd.DataFrame, values: pd.DataFrame) -> pd.DataFrame:
    """The two tables of `split_rows` as rows."""
    rows = values.merge(runs, on="run_id", how="left", validate="many_to_one")
    return rows[list(DTYPES)].sort_values(list(ROW_ORDER), ignore_index=True)
