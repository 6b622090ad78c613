"""The rows of one scale as two tidy tables: runs.csv, one line a run, and values.csv, one line a measured value."""

import shutil
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import lru_cache
from io import BytesIO
from pathlib import Path

import pandas as pd
import pandera.pandas as pa

from benchmarks.records.digests import has_digests, verified, with_digests
from benchmarks.records.files import read_pair, write_pair
from benchmarks.records.lock import locked_results
from benchmarks.records.look_alikes import check_of_one_kind
from benchmarks.records.older_versions import WITHOUT_DIGESTS, check_version, frame_of_version_1
from benchmarks.records.record_files import (
    is_whole,
    read_records,
    record_path,
    record_paths,
    set_aside_if_damaged,
    stamp_of,
    stamps_of,
)
from benchmarks.records.rows import (
    DTYPES,
    ROW_ORDER,
    RUN_COLUMNS,
    SCHEMA_VERSION,
    VALUE_COLUMNS,
    join_rows,
    joined,
    row_schema,
    split_rows,
    to_frame,
)
from delta_core.training.errors import UserError
from delta_core.training.whole_files import whole_file


def runs_path(results: Path) -> Path:
    """Table of the runs below the results folder of a scale."""
    return results / "runs.csv"


def values_path(results: Path) -> Path:
    """Table of the values below the results folder of a scale."""
    return results / "values.csv"


def old_path(results: Path) -> Path:
    """Where a runs.csv of schema version 1 is kept when the two tables take its place."""
    return results / "runs.v1.csv"


def read_rows(results: Path) -> pd.DataFrame:
    """Rows that were collected below `results` (the folder of one scale), verified; none if there are none.

    A table of schema version 1 gets no rows any more, so there the records beside it are read too.

    Raises:
        UserError: if the files are of no known schema version, do not belong together, or hold what their digests do
            not say or a value out of range.
    """
    return _read_tables(results, replaceable=lambda _: False)


def _read_tables(results: Path, *, replaceable: Callable[[str], bool]) -> pd.DataFrame:
    """As `read_rows`, without those damaged runs that can be taken from elsewhere."""
    path = runs_path(results)
    if not path.exists():
        return to_frame([])
    try:
        runs, values = read_pair(path, values_path(results))
        # Before anything else: tables of a later version may have other columns.
        versions = pd.read_csv(BytesIO(runs), usecols=["schema_version"], dtype="Int64")["schema_version"].dropna()
        check_version(versions, path)
        if _is_one_table(runs.partition(b"\n")[0]):
            table = frame_of_version_1(_read(runs, tuple(DTYPES)))
            known = row_schema().validate(table)
            rows = _with_records(known, _not_collected(known, _whole_records(results)))
            return rows.sort_values(list(ROW_ORDER), ignore_index=True)
        if values is None:
            raise FileNotFoundError(f"{values_path(results).name} is not there")
        if has_digests(runs):
            runs, values = verified((path, values_path(results)), (runs, values), replaceable=replaceable)
        elif not versions.isin(WITHOUT_DIGESTS).all():
            raise ValueError("there is no column of digests")
        table = _read(runs, RUN_COLUMNS).assign(schema_version=SCHEMA_VERSION).astype({"schema_version": "Int64"})
        rows = join_rows(table, _read(values, VALUE_COLUMNS))
    except pa.errors.SchemaError as error:
        raise UserError(f"{_not_results(results)} ({_place_of(error)}); {AS_WRITTEN}") from error
    except (OSError, ValueError, KeyError) as error:
        detail = " ".join(str(error).split())[:200]
        raise UserError(f"{_not_results(results)} ({detail}); {AS_WRITTEN}") from error
    check_of_one_kind(rows)
    return rows


AS_WRITTEN = "restore them, e.g. from git, or move them away and run collect."


def _not_results(results: Path) -> str:
    return f"{runs_path(results)} and {values_path(results).name} are not result files"


def _place_of(error: pa.errors.SchemaError) -> str:
    """Run, file and line of what the schema refuses, as far as it is of one line."""
    cases = error.failure_cases
    if not isinstance(cases, pd.DataFrame) or "index" not in cases or cases["index"].isna().any():
        return " ".join(str(error).split())[:200]
    line = int(cases["index"].max())
    row = error.data.loc[line]
    name = "runs.csv" if "measured_at" in row else "values.csv"
    field = error.schema.name or ("value" if "value" in row else "run_id")
    return f"{name} line {line + 2}, run {row['run_id']}: {field} {row[field]}, {error.check}"


def _read(text: bytes, columns: tuple[str, ...]) -> pd.DataFrame:
    """A table of these columns, in any order."""
    dtypes = {name: DTYPES[name] for name in columns}
    blank = {name: [""] for name, dtype in dtypes.items() if dtype != "str"}
    frame = pd.read_csv(BytesIO(text), dtype=dtypes, keep_default_na=False, na_values=blank)
    if set(frame.columns) != set(columns):
        raise ValueError(f"{len(frame.columns)} columns, not {', '.join(columns)}")
    return frame[list(columns)]


def is_of_version_1(results: Path) -> bool:
    """Whether the rows below `results` still lie in one table."""
    path = runs_path(results)
    if not path.is_file():
        return False
    with path.open("rb") as stream:
        return _is_one_table(stream.readline())


def is_of_this_version(results: Path) -> bool:
    """Whether there are tables below `results`, and the runs have digests."""
    path = runs_path(results)
    if not path.is_file():
        return False
    with path.open("rb") as stream:
        return has_digests(stream.readline().strip())


def _is_one_table(header: bytes) -> bool:
    return b"value" in header.strip().split(b",")


def write_rows(results: Path, rows: pd.DataFrame) -> pd.DataFrame:
    """Sort and validate rows, write both tables as one change, and return the rows in their order.

    A runs.csv of schema version 1 is kept as runs.v1.csv.

    Raises:
        UserError: if there is another runs.v1.csv already.
    """
    check_of_one_kind(rows)
    with locked_results(results):
        return replace_rows(results, rows)


def replace_rows(results: Path, rows: pd.DataFrame) -> pd.DataFrame:
    """As `write_rows`, by whoever holds the lock."""
    check_of_one_kind(rows)
    runs, values = split_rows(rows)
    if is_of_version_1(results):
        _keep(runs_path(results), old_path(results))
    of_values = _csv(values)
    write_pair(runs_path(results), values_path(results), (with_digests(_csv(runs), of_values), of_values))
    return joined(runs, values)


def _csv(frame: pd.DataFrame) -> str:
    text = frame.to_csv(index=False, lineterminator="\n")
    if text.count("\n") != len(frame) + 1:
        raise UserError("A cell of the rows holds a line break, and a table has one line a row; measure its run again.")
    return text


def _keep(old: Path, kept: Path) -> None:
    if not kept.exists():
        with whole_file(kept) as partial:
            shutil.copyfile(old, partial)
    elif kept.read_bytes() != old.read_bytes():
        raise UserError(f"{kept} is there already and is not {old.name}; move it away and run collect again.")


def collect(results: Path) -> pd.DataFrame:
    """Gather all records below `results` (the folder of one scale) into the two tables, and return all rows.

    Rows whose record is not here (committed results, another machine) are kept; a run that has both is taken from its
    record. Damaged records are set aside; damaged lines of the tables whose record is here are taken from it. Tables
    that lack no record are left as they are, and so is one of schema version 1, which `merge` converts.
    """
    if not results.is_dir():
        return to_frame([])
    with locked_results(results):
        return collect_locked(results)


def collect_locked(results: Path) -> pd.DataFrame:
    """As `collect`, by whoever holds the lock."""
    records = [path for path in record_paths(results) if not set_aside_if_damaged(path)]
    known = _read_tables(results, replaceable=_has_record(results))
    if is_of_version_1(results):
        return known
    rows = _with_records(known, _not_collected(known, records))
    return known if rows is known else replace_rows(results, rows)


State = tuple[tuple[int, int], ...]
"""Of a file its time and size, of a folder its time and the number of entries."""


def rows_so_far(results: Path) -> pd.DataFrame:
    """All rows below `results` (the folder of one scale), those of records that nobody has collected yet among them.

    Damaged records count for nothing.

    Raises:
        UserError: as `read_rows` does.
    """
    return _rows_of(results, state_of(results)).copy()


@lru_cache(maxsize=1)
def _rows_of(results: Path, state: State) -> pd.DataFrame:  # noqa: ARG001
    known = _read_tables(results, replaceable=_has_record(results))
    new = [path for path in _not_collected(known, record_paths(results)) if is_whole(path)]
    return _with_records(known, new)


def state_of(results: Path) -> State:
    """Changes with every change of rows; to keep what was made of them, as planning all tables asks again and again.

    A record is only ever written whole in place of an older one, which the folder's own time tells of.
    """
    found = []
    for path in (runs_path(results), values_path(results), results / "records"):
        with suppress(FileNotFoundError, NotADirectoryError):
            at = path.stat()
            found.append((at.st_mtime_ns, sum(1 for _ in path.iterdir()) if path.is_dir() else at.st_size))
    return tuple(found)


def _has_record(results: Path) -> Callable[[str], bool]:
    return lambda run_id: is_whole(record_path(results, run_id))


def _whole_records(results: Path) -> list[Path]:
    return [path for path in record_paths(results) if is_whole(path)]


def _not_collected(known: pd.DataFrame, records: Iterable[Path]) -> list[Path]:
    """Those of the records that hold something else than what is known."""
    taken = stamps_of(known)
    return [path for path in records if path.stem not in taken or stamp_of(path) != taken[path.stem]]


def _with_records(known: pd.DataFrame, new: list[Path]) -> pd.DataFrame:
    """What is known, with what the new records hold in place of what was known of their runs."""
    if not new:
        return known
    frame = read_records(new)
    kept = known[~known["run_id"].isin(frame["run_id"])]
    return pd.concat([part for part in (kept, frame) if len(part)], ignore_index=True)
