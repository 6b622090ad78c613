"""Rows as earlier schema versions had them. They are read wherever rows are read, as rows of today.

Version 1 had every value on a line with all that is said of its run, in records and runs.csv; version 2 had the two
tables, without digests. Their files stay as they are until `collect` is asked for.
"""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.records.rows import DTYPES, SCHEMA_VERSION, Row
from delta_core.training.errors import UserError

OLDEST = 1
WITHOUT_DIGESTS = (1, 2)
"""Versions whose records have no closing line, and whose tables no digests."""


def check_version(versions: Iterable[int], source: Path) -> None:
    """Raise UserError unless all rows of `source` are of a schema version that there has been."""
    other = sorted(set(versions) - set(range(OLDEST, SCHEMA_VERSION + 1)))
    if other:
        raise UserError(
            f"{str(source)!r} holds rows of schema version {', '.join(map(str, other))}, and this checkout reads "
            f"those up to {SCHEMA_VERSION}; read it with the checkout that wrote it, or move it away and measure again."
        )


def rows_of_version_1(lines: list[dict[str, Any]]) -> list[Row]:
    """Rows of a record of version 1.

    Pre-trainings noted with each of their two values the seconds until then; the run took the larger number.
    """
    whole = max(line["eval_s"] for line in lines)
    return [replace(Row(**line), eval_s=whole, schema_version=SCHEMA_VERSION) for line in lines]


def frame_of_version_1(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of a runs.csv of version 1, with the seconds of each run as in `rows_of_version_1`."""
    whole = table.groupby("run_id")["eval_s"].transform("max")
    return table.assign(eval_s=whole, schema_version=SCHEMA_VERSION).astype(DTYPES)
