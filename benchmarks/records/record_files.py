"""Records: one file a run, written once when everything in it was measured. A record that can be read is complete.

    records/<run_id>.jsonl    the run on the first line (`RUN_COLUMNS`), a value on each other (`VALUE_COLUMNS`),
                              and the closing line

Those of schema version 2 have no closing line, and those of version 1 a whole row on every line; both are read as they
are. A damaged record is never taken for a measurement, and never deleted: it is moved to records/damaged/.
"""

import json
import os
import re
import sys
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.records.closing_line import above_closing_line, closed
from benchmarks.records.lock import locked_results
from benchmarks.records.older_versions import WITHOUT_DIGESTS, check_version, rows_of_version_1
from benchmarks.records.row_checks import check_rows
from benchmarks.records.rows import DTYPES, RUN_COLUMNS, SCHEMA_VERSION, VALUE_COLUMNS, Row
from delta_core.training.errors import UserError
from delta_core.training.whole_files import sync_folder, whole_text, write_whole

DAMAGED = (ValueError, TypeError, KeyError, IndexError, AttributeError)
"""What reading the lines of a damaged record raises."""


def record_path(results: Path, run_id: str) -> Path:
    """Record file of a run below the results folder of its scale."""
    return results / "records" / f"{run_id}.jsonl"


def diagnostics_path(results: Path, run_id: str) -> Path:
    """File of arrays that a run leaves beside its record to be looked at; it lies with the records, outside git."""
    return results / "records" / f"{run_id}.npz"


ARRAYS = ("records", "pictures")
"""Folders in which runs leave arrays to be drawn, `<run_id>.npz`, outside git."""


def take_arrays(results: Path, source: Path, runs: Collection[str]) -> None:
    """Copy arrays that runs left in the results folder of another machine and that are not here."""
    for folder in ARRAYS:
        here = {path.name for path in files_of_runs(results, ".npz", folder)}
        for path in files_of_runs(source, ".npz", folder):
            if path.stem in runs and path.name not in here:
                write_whole(results / folder / path.name, path.read_bytes())


def record_paths(results: Path) -> list[Path]:
    """All records below the results folder of a scale."""
    return files_of_runs(results, ".jsonl")


def files_of_runs(results: Path, ending: str, folder: str = "records") -> list[Path]:
    """Files of that ending in a folder of a scale's results, sorted; none where there is no folder.

    Raises:
        OSError: for a folder that may not be read, which `Path.glob` takes for an empty one.
    """
    place = results / folder
    try:
        with os.scandir(place) as found:  # paths are slow to sort
            return [place / name for name in sorted(each.name for each in found if each.name.endswith(ending))]
    except FileNotFoundError:
        return []


def write_record(results: Path, rows: Iterable[Row]) -> Path:
    """Write all rows of one run at once, in place of an older record; a damaged one is set aside.

    Raises:
        ValueError: if the rows do not belong to exactly one run, say two things of it, or hold what no measurement
            gives.
    """
    rows = list(rows)
    check_rows(rows)
    lines = [asdict(row) for row in rows]
    run = json.dumps({name: lines[0][name] for name in RUN_COLUMNS})
    text = closed([run, *(json.dumps({name: line[name] for name in VALUE_COLUMNS[1:]}) for line in lines)])
    path = record_path(results, rows[0].run_id)
    if path.exists() and not is_whole(path):
        with locked_results(results):
            if path.exists():  # nobody has set it aside meanwhile
                set_aside_if_damaged(path)
    with whole_text(path) as stream:
        stream.write(text)
    return path


def read_records(paths: Iterable[Path]) -> pd.DataFrame:
    """Rows of records, typed and in schema order.

    Raises:
        UserError: as `read_record` does.
    """
    columns: dict[str, list[Any]] = {name: [] for name in DTYPES}
    for path in paths:
        _add(columns, *_read(path))
    return pd.DataFrame(columns).astype(DTYPES)


def read_record(path: Path) -> list[Row]:
    """Rows of one record, of any schema version so far.

    Raises:
        UserError: if it is damaged, or of a version that this checkout does not know.
    """
    run, values = _read(path)
    return [Row(**{**run, **value}) for value in values]


def damage_of(path: Path) -> str | None:
    """What is wrong with a record; None if it can be read. Nothing is parsed where a closing line vouches for it.

    Raises:
        UserError: if it is of a version that this checkout does not know.
    """
    content = path.read_bytes()
    try:
        if above_closing_line(content) is None:
            _parsed(content, None, path)
    except DAMAGED as error:
        return _in_one_line(error)
    return None


def is_whole(path: Path, *, told: bool = False) -> bool:
    """Whether a record is there and can be read: then its run is done. A damaged one is `told` of on stderr."""
    try:
        damage = damage_of(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    if damage is not None and told:
        print(f"{path} is damaged ({damage}); its run is not done.", file=sys.stderr)
    return damage is None


def set_aside_if_damaged(path: Path) -> bool:
    """Move a record that cannot be read to records/damaged/, and say so on stderr; by whoever holds the lock."""
    damage = damage_of(path)
    if damage is not None:
        set_aside(path, damage)
    return damage is not None


def set_aside(path: Path, damage: str) -> None:
    """Move a file of records/ to records/damaged/, and say so on stderr; by whoever holds the lock."""
    folder = path.parent / "damaged"
    folder.mkdir(exist_ok=True)
    place, number = folder / path.name, 1
    while place.exists():
        number += 1
        place = folder / f"{path.stem}.{number}{path.suffix}"
    path.replace(place)
    for changed in (folder, path.parent):
        sync_folder(changed)
    print(f"{path} is damaged ({damage}), so its run is not done; it lies in {folder} now.", file=sys.stderr)


Line = dict[str, Any]


def _read(path: Path) -> tuple[Line, list[Line]]:
    """What a record says of its run, and its values."""
    try:
        content = path.read_bytes()
        return _parsed(content, above_closing_line(content), path)
    except DAMAGED as error:
        raise UserError(
            f"Record {str(path)!r} cannot be read ({_in_one_line(error)}); delete it and its run will be repeated."
        ) from error


def _parsed(content: bytes, above: bytes | None, path: Path) -> tuple[Line, list[Line]]:
    """The run of a record of `path` and its values; `above` is what stands above its closing line."""
    text = (content if above is None else above).splitlines()
    lines: list[Line] = json.loads(b"[" + b",".join(text) + b"]")  # at once, which takes half of the time
    version = lines[0]["schema_version"]
    check_version([version], path)
    if above is None and version not in WITHOUT_DIGESTS:
        raise ValueError("it has no closing line")
    if version == 1:
        whole = [vars(row) for row in rows_of_version_1(lines)]
        run, values = {name: whole[0][name] for name in RUN_COLUMNS}, whole
    else:
        run, *values = lines
        run = {**run, "schema_version": SCHEMA_VERSION}
    if above is None:  # else they were checked when they were written
        check_rows([Row(**{**run, **value}) for value in values])
    return run, values


def _add(columns: dict[str, list[Any]], run: Line, values: list[Line]) -> None:
    """A run's rows at the end of columns."""
    for name in RUN_COLUMNS:
        columns[name] += [run[name]] * len(values)
    for name in VALUE_COLUMNS[1:]:
        columns[name] += [value[name] for value in values]


def _in_one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]


Stamp = tuple[int, str]
"""Values of a run, and when it was measured: two measurements of a run differ in it."""


def stamp_of(record: Path) -> Stamp:
    """That of a record, without parsing all of it: there are thousands, and most have been collected."""
    content = record.read_bytes()
    moments = re.findall(rb'"measured_at": "([^"]*)"', content)
    return content.count(b'"value": '), min(moments, default=b"").decode(errors="replace")


def stamps_of(rows: pd.DataFrame) -> dict[str, Stamp]:
    """Run id -> stamp of rows that have been collected."""
    values: defaultdict[str, int] = defaultdict(int)
    moments: dict[str, str] = {}
    for run_id, moment in zip(rows["run_id"].tolist(), rows["measured_at"].tolist(), strict=True):
        values[run_id] += 1
        moments[run_id] = min(moment, moments.get(run_id, moment))
    return {run_id: (values[run_id], first) for run_id, first in moments.items()}
