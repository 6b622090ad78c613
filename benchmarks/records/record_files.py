"""Records: one file a run, written once when everything in it was measured. A record that exists is complete.

    records/<run_id>.jsonl    the run on the first line (`RUN_COLUMNS`), a value on each other (`VALUE_COLUMNS`)

Those of schema version 1 have a whole row on every line; they are read as they are.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.records.rows import RUN_COLUMNS, SCHEMA_VERSION, VALUE_COLUMNS, Row, to_frame
from benchmarks.records.version1 import check_version, rows_of_version_1
from delta_core.training.errors import UserError
from delta_core.training.whole_files import whole_text


def record_path(results: Path, run_id: str) -> Path:
    """Record file of a run below the results folder of its scale."""
    return results / "records" / f"{run_id}.jsonl"


def diagnostics_path(results: Path, run_id: str) -> Path:
    """File of arrays that a run leaves beside its record to be looked at; it lies with the records, outside git."""
    return results / "records" / f"{run_id}.npz"


def record_paths(results: Path) -> list[Path]:
    """All records below the results folder of a scale."""
    return sorted((results / "records").glob("*.jsonl"))


def write_record(results: Path, rows: Iterable[Row]) -> Path:
    """Write all rows of one run at once. Rows of several runs, or none, are refused.

    Raises:
        ValueError: if the rows do not belong to exactly one run, or say two things of it.
    """
    lines = [asdict(row) for row in rows]
    ids = sorted({line["run_id"] for line in lines})
    if len(ids) != 1:
        raise ValueError(f"A record holds the rows of exactly one run, got {ids}.")
    runs = {json.dumps({name: line[name] for name in RUN_COLUMNS}) for line in lines}
    if len(runs) != 1:
        raise ValueError(f"Rows of run {ids[0]} differ in what is said of the run itself.")
    path = record_path(results, ids[0])
    with whole_text(path) as stream:
        for text in (*runs, *(json.dumps({name: line[name] for name in VALUE_COLUMNS[1:]}) for line in lines)):
            stream.write(text + "\n")
    return path


def read_records(results: Path) -> pd.DataFrame:
    """Rows of all records below `results` (the folder of one scale), typed and in schema order."""
    return to_frame(row for path in record_paths(results) for row in read_record(path))


def read_record(path: Path) -> list[Row]:
    """Rows of one record, of any schema version so far.

    Raises:
        UserError: if it is damaged, or of a version that this checkout does not know.
    """
    try:
        lines: list[dict[str, Any]] = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        check_version([lines[0]["schema_version"]], path)
        if lines[0]["schema_version"] != SCHEMA_VERSION:
            return rows_of_version_1(lines)
        run, *values = lines
        if not values:
            raise ValueError("no values")
        return [Row(**run, **value) for value in values]
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise UserError(
            f"Record {str(path)!r} cannot be read ({type(error).__name__}); delete it and its run will be repeated."
        ) from error


Stamp = tuple[int, str]
"""Values of a run, and when it was measured: two measurements of a run differ in it."""


def stamp_of(record: Path) -> Stamp:
    """That of a record, without parsing all of it: there are thousands, and most have been collected."""
    text = record.read_text(encoding="utf-8", errors="replace")
    moments = re.findall(r'"measured_at": "([^"]*)"', text)
    return text.count('"value": '), min(moments, default="")


def stamps_of(rows: pd.DataFrame) -> dict[str, Stamp]:
    """Run id -> stamp of rows that have been collected."""
    runs = rows.groupby("run_id")["measured_at"].agg(["count", "min"])
    return {str(run_id): (int(count), first) for run_id, count, first in runs.itertuples(name=None)}
