"""Result rows: one measured value per row, one file per run, one tidy CSV per scale.

A run writes `records/<run_id>.jsonl` once, by write-then-rename, after everything in it was measured: a record that
exists is complete. `collect` gathers records into `runs.csv`. This module does not import torch, so that reports
can read rows without it.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Literal, get_args

import pandas as pd
import pandera.pandas as pa

from benchmarks.records.files import atomic_text
from delta_core.training.errors import UserError

SCHEMA_VERSION = 1

SCRATCH = "scratch"
"""Weights of a run that starts from no pre-trained net: they are drawn by the run's seed."""

Scale = Literal["embedded", "local", "paper"]
SCALES: tuple[Scale, ...] = ("embedded", "local", "paper")

Selection = Literal["last", "val", "oracle"]
"""How the evaluated weights were picked; `oracle` = on the reported test split."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One measured value with everything needed to trust it. `None` is a blank cell, never a zero.

    The key of a row is (`run_id`, `variant`, `column`, `phase`, `split`, `alpha`, `metric`, `selection`). Derived
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
    """Data set evaluated: the base task or the patch task."""
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
    """Peak memory of the process (resident set on CPU, allocated on CUDA) by the end of the run."""
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


KEY: tuple[str, ...] = ("run_id", "variant", "column", "phase", "split", "alpha", "metric", "selection")


def _dtype(declared: object) -> str:
    if declared in (int, int | None):
        return "Int64"
    if declared in (bool, bool | None):
        return "boolean"
    return "float64" if declared in (float, float | None) else "str"


DTYPES: dict[str, str] = {field.name: _dtype(field.type) for field in fields(Row)}
"""Column -> pandas dtype; the nullable ones keep a blank cell apart from 0 and False."""


def row_schema() -> pa.DataFrameSchema:
    """What a collected frame must satisfy: types, value ranges, one row per key."""
    nullable = {field.name for field in fields(Row) if type(None) in get_args(field.type)}
    checks = {
        "scale": pa.Check.isin(SCALES),
        "value": pa.Check.in_range(0, 100),
        "alpha": pa.Check.in_range(0, 1),
        "train_s": pa.Check.ge(0),
        "eval_s": pa.Check.ge(0),
        "peak_mem_mb": pa.Check.ge(0),
        "schema_version": pa.Check.eq(SCHEMA_VERSION),
    }
    columns = {name: pa.Column(dtype, checks.get(name), nullable=name in nullable) for name, dtype in DTYPES.items()}
    return pa.DataFrameSchema(columns, unique=list(KEY), strict=True, ordered=True)


def record_path(results: Path, run_id: str) -> Path:
    """Record file of a run below the results folder of its scale."""
    return results / "records" / f"{run_id}.jsonl"


def diagnostics_path(results: Path, run_id: str) -> Path:
    """File of arrays that a run leaves beside its record to be looked at; it lies with the records, outside git."""
    return results / "records" / f"{run_id}.npz"


def write_record(results: Path, rows: Iterable[Row]) -> Path:
    """Write all rows of one run at once. Rows of several runs, or none, are refused.

    Raises:
        ValueError: if the rows do not belong to exactly one run.
    """
    rows = list(rows)
    ids = {row.run_id for row in rows}
    if len(ids) != 1:
        raise ValueError(f"A record holds the rows of exactly one run, got {sorted(ids)}.")
    path = record_path(results, ids.pop())
    with atomic_text(path) as stream:
        for row in rows:
            stream.write(json.dumps(asdict(row)) + "\n")
    return path


def to_frame(rows: Iterable[Row]) -> pd.DataFrame:
    """Rows as a typed data frame in schema order (not validated)."""
    return pd.DataFrame([vars(row) for row in rows], columns=list(DTYPES)).astype(DTYPES)


def read_rows(path: Path) -> pd.DataFrame:
    """Read `runs.csv`, validated. A missing file is an empty frame of the right shape.

    Raises:
        UserError: if the file is not of this schema version or holds a value out of range.
    """
    if not path.exists():
        return to_frame([])
    blank = {name: [""] for name, dtype in DTYPES.items() if dtype != "str"}
    try:
        frame = pd.read_csv(path, dtype=DTYPES, keep_default_na=False, na_values=blank)
        _check_version(frame["schema_version"].dropna(), path)
        return row_schema().validate(frame)
    except (OSError, ValueError, KeyError, pa.errors.SchemaError, pa.errors.SchemaErrors) as error:
        detail = " ".join(str(error).split())[:200]
        raise UserError(
            f"{path} is not a result file of schema version {SCHEMA_VERSION} ({detail}); move it away and run collect."
        ) from error


def _check_version(versions: Iterable[int], source: Path) -> None:
    """Raise UserError unless all rows of `source` are of this schema version, the only one there has been."""
    other = sorted(set(versions) - {SCHEMA_VERSION})
    if other:
        raise UserError(
            f"{str(source)!r} holds rows of schema version {', '.join(map(str, other))}, and this checkout reads "
            f"version {SCHEMA_VERSION}; read it with the checkout that wrote it, or move it away and measure again."
        )


def _read_record(path: Path) -> list[Row]:
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        _check_version((line["schema_version"] for line in lines), path)
        return [Row(**line) for line in lines]
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(
            f"Record {str(path)!r} cannot be read ({type(error).__name__}); delete it and its run will be repeated."
        ) from error


def read_records(results: Path) -> pd.DataFrame:
    """Rows of all records below `results` (the folder of one scale), typed and in schema order."""
    return to_frame(row for path in _records(results) for row in _read_record(path))


def _records(results: Path) -> list[Path]:
    return sorted((results / "records").glob("*.jsonl"))


def write_rows(results: Path, frame: pd.DataFrame) -> pd.DataFrame:
    """Sort and validate rows, write them to `results/runs.csv` at once, and return them."""
    order = ["suite", "architecture", "task", "method", "n_delta_modules", "variant", "seed", *KEY]
    frame = row_schema().validate(frame.sort_values(order, ignore_index=True))
    with atomic_text(results / "runs.csv") as stream:
        frame.to_csv(stream, index=False, lineterminator="\n")
    return frame


def collect(results: Path) -> pd.DataFrame:
    """Gather all records below `results` (the folder of one scale) into `results/runs.csv`, sorted, and return them.

    Rows already in `runs.csv` whose record is not here (committed results, another machine) are kept; a run that has
    both is taken from its record. Without a record that `runs.csv` lacks the file is left as it is.
    """
    known = read_rows(results / "runs.csv")
    taken = _stamps(known)
    new = [path for path in _records(results) if _stamp(path) != taken.get(path.stem)]
    if not new:
        return known
    frame = to_frame(row for path in new for row in _read_record(path))
    kept = known[~known["run_id"].isin(frame["run_id"])]
    return write_rows(results, pd.concat([part for part in (kept, frame) if len(part)], ignore_index=True))


Stamp = tuple[int, str]
"""Rows of a run, and when the first of them was measured: two measurements of a run differ in it."""


def _stamps(rows: pd.DataFrame) -> dict[str, Stamp]:
    runs = rows.groupby("run_id")["measured_at"].agg(["count", "min"])
    return {str(run_id): (int(count), first) for run_id, count, first in runs.itertuples(name=None)}


def _stamp(record: Path) -> Stamp:
    """That of a record, without parsing all of it: there are thousands, and most are in runs.csv."""
    moments = re.findall(r'"measured_at": "([^"]*)"', record.read_text(encoding="utf-8", errors="replace"))
    return len(moments), min(moments, default="")
