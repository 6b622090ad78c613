"""The rows of one scale as two tidy tables: runs.csv, one line a run, and values.csv, one line a measured value."""

import shutil
from io import BytesIO
from pathlib import Path

import pandas as pd
import pandera.pandas as pa

from benchmarks.records.files import read_pair, write_pair
from benchmarks.records.look_alikes import check_of_one_kind
from benchmarks.records.record_files import read_record, record_paths, stamp_of, stamps_of
from benchmarks.records.rows import (
    DTYPES,
    ROW_ORDER,
    RUN_COLUMNS,
    VALUE_COLUMNS,
    join_rows,
    row_schema,
    split_rows,
    to_frame,
)
from benchmarks.records.version1 import check_version, frame_of_version_1
from delta_core.training.errors import UserError
from delta_core.training.lock import locked


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
    """Rows that were collected below `results` (the folder of one scale), validated; none if there are none.

    A table of schema version 1 gets no rows any more, so there the records beside it are read too.

    Raises:
        UserError: if the files are of no known schema version, do not belong together, or hold a value out of range.
    """
    path = runs_path(results)
    if not path.exists():
        return to_frame([])
    try:
        runs, values = read_pair(path, values_path(results))
        # Before anything else: tables of a later version may have other columns.
        versions = pd.read_csv(BytesIO(runs), usecols=["schema_version"], dtype="Int64")["schema_version"]
        check_version(versions.dropna(), path)
        if _is_one_table(runs.partition(b"\n")[0]):
            table = frame_of_version_1(_read(runs, tuple(DTYPES)))
            rows = _with_records(results, row_schema().validate(table))
            return rows.sort_values(list(ROW_ORDER), ignore_index=True)
        if values is None:
            raise FileNotFoundError(f"{values_path(results).name} is not there")
        rows = join_rows(_read(runs, RUN_COLUMNS), _read(values, VALUE_COLUMNS))
    except (OSError, ValueError, KeyError, pa.errors.SchemaError, pa.errors.SchemaErrors) as error:
        detail = " ".join(str(error).split())[:200]
        raise UserError(
            f"{path} and {values_path(results).name} are not result files ({detail}); move them away and run collect."
        ) from error
    check_of_one_kind(rows)
    return rows


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


def _is_one_table(header: bytes) -> bool:
    return b"value" in header.strip().split(b",")


def write_rows(results: Path, rows: pd.DataFrame) -> pd.DataFrame:
    """Sort and validate rows, write both tables as one change, and return the rows in their order.

    A runs.csv of schema version 1 is kept as runs.v1.csv.

    Raises:
        UserError: if there is another runs.v1.csv already.
    """
    check_of_one_kind(rows)
    runs, values = split_rows(rows)
    with locked(results / ".lock"):
        if is_of_version_1(results):
            _keep(runs_path(results), old_path(results))
        write_pair(runs_path(results), values_path(results), (_csv(runs), _csv(values)))
    return join_rows(runs, values)


def _csv(frame: pd.DataFrame) -> str:
    return frame.to_csv(index=False, lineterminator="\n")


def _keep(old: Path, kept: Path) -> None:
    if not kept.exists():
        partial = kept.with_name(f".{kept.name}.tmp")
        shutil.copyfile(old, partial)
        partial.replace(kept)
    elif kept.read_bytes() != old.read_bytes():
        raise UserError(f"{kept} is there already and is not {old.name}; move it away and run collect again.")


def collect(results: Path) -> pd.DataFrame:
    """Gather all records below `results` (the folder of one scale) into the two tables, and return all rows.

    Rows whose record is not here (committed results, another machine) are kept; a run that has both is taken from its
    record. Tables that lack no record are left as they are, and so is one of schema version 1, which `merge` converts.
    """
    known = read_rows(results)
    if is_of_version_1(results):
        return known
    rows = _with_records(results, known)
    return known if rows is known else write_rows(results, rows)


def rows_so_far(results: Path) -> pd.DataFrame:
    """All rows below `results` (the folder of one scale), those of records that nobody has collected yet among them.

    Raises:
        UserError: as `read_rows` and `read_record` do.
    """
    return _with_records(results, read_rows(results))


def _with_records(results: Path, known: pd.DataFrame) -> pd.DataFrame:
    """What is known, with the records that hold something else."""
    taken = stamps_of(known)
    new = [path for path in record_paths(results) if stamp_of(path) != taken.get(path.stem)]
    if not new:
        return known
    frame = to_frame(row for path in new for row in read_record(path))
    kept = known[~known["run_id"].isin(frame["run_id"])]
    return pd.concat([part for part in (kept, frame) if len(part)], ignore_index=True)
