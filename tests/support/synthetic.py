"""Rows of every embedded table that no run measured, made once in a process: planning all runs takes seconds."""

from functools import cache

import pandas as pd

from benchmarks.perf.synthetic_rows import synthetic_rows
from benchmarks.records.rows import Row, to_frame


@cache
def synthetic(*, seeds: int = 1) -> tuple[Row, ...]:
    """One seed of every run, or two."""
    return tuple(synthetic_rows(1 if seeds == 1 else len(synthetic()) + 1))


def synthetic_frame(*, seeds: int = 1) -> pd.DataFrame:
    """The same as a frame of the caller's own."""
    return _frame(seeds).copy()


@cache
def _frame(seeds: int) -> pd.DataFrame:
    return to_frame(synthetic(seeds=seeds))
