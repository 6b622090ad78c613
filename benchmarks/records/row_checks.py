"""What the rows of one run must satisfy, checked where they are written: `rows.schema_of` with the field in words."""

import unicodedata
from collections.abc import Sequence

from benchmarks.records.rows import CHOICES, DTYPES, KEY, NULLABLE, RANGES, RUN_COLUMNS, VALUE_COLUMNS, Row, off_whole
from delta_core.training.errors import UserError

TYPES: dict[str, type | tuple[type, ...]] = {"Int64": int, "boolean": bool, "float64": (int, float), "str": str}
RUN_BY_SPREADSHEETS = ("=", "+", "-", "@")
"""Beginnings of a cell that a spreadsheet takes for a formula."""
UNPRINTED = ("Cc", "Cs", "Zl", "Zp")
"""Unicode categories: controls such as tab and newline, halves of characters, line and paragraph separators."""


def problem_of_cell(text: str) -> str | None:
    r"""Why a text cannot stand in a cell of a table, or None.

    >>> problem_of_cell("=1+1"), problem_of_cell("red\tblue"), problem_of_cell("1 = red")
    ("begins with '=', which a spreadsheet would run", 'holds a control character or half of one', None)
    """
    if text.startswith(RUN_BY_SPREADSHEETS):
        return f"begins with {text[0]!r}, which a spreadsheet would run"
    if any(unicodedata.category(character) in UNPRINTED for character in text):
        return "holds a control character or half of one"
    return None


def check_name(name: str) -> None:
    """Refuse a name that rows could not hold.

    Raises:
        UserError: saying why.
    """
    problem = problem_of_cell(name)
    if problem is not None:
        raise UserError(f"The name {name!r} {problem}; rename the folder.")


def check_rows(rows: Sequence[Row]) -> None:
    """Refuse rows that do not belong to exactly one run, or hold what no measurement gives.

    Raises:
        ValueError: naming the run, the field and its value.
    """
    ids = sorted({row.run_id for row in rows})
    if len(ids) != 1:
        raise ValueError(f"A record holds the rows of exactly one run, got {ids}.")
    if len({tuple(getattr(row, name) for name in RUN_COLUMNS) for row in rows}) != 1:
        raise ValueError(f"Rows of run {ids[0]} differ in what is said of the run itself.")
    keys: set[tuple[object, ...]] = set()
    for row in rows:
        where = f"Run {row.run_id}, {row.metric} of {row.column!r} ({row.phase}, {row.split})"
        for name in VALUE_COLUMNS if keys else DTYPES:  # what is said of the run is the same in all rows
            problem = _problem(name, getattr(row, name))
            if problem is not None:
                raise ValueError(f"{where}: {name} {problem}.")
        if off_whole(row.metric, row.value, row.n_examples):
            raise ValueError(f"{where}: {row.value} % of {row.n_examples} is no whole number of examples.")
        key = tuple(getattr(row, name) for name in KEY)
        if key in keys:
            raise ValueError(f"{where}: there are two values of one key.")
        keys.add(key)


def _problem(name: str, value: object) -> str | None:
    """What is wrong with the value of a field."""
    if value is None:
        return None if name in NULLABLE else "is blank"
    if not isinstance(value, TYPES[DTYPES[name]]):
        return f"is {value!r}, not of type {DTYPES[name]}"
    if isinstance(value, str):
        problem = problem_of_cell(value)
        if problem is not None:
            return f"{value!r} {problem}"
    if name in RANGES and isinstance(value, int | float):
        least, largest = RANGES[name]
        if not least <= value <= largest:  # nor NaN
            return f"is {value}, not from {least:g} to {largest:g}"
    if name in CHOICES and value not in CHOICES[name]:
        return f"is {value!r}, not one of {', '.join(map(str, CHOICES[name]))}"
    return None
