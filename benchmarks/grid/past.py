"""How long runs took before: what rows of the same cell under other seeds, or of the same method, tell."""

import math
from collections.abc import Iterable

import pandas as pd

from benchmarks.spec import Run

KEYS = (("architecture", "method", "n_delta_modules", "task"), ("architecture", "method"), ("method",))
"""Columns in which a run must agree with rows to be like them, the closest likeness first."""


def seconds_of(runs: Iterable[Run], rows: pd.DataFrame) -> dict[str, float | None]:
    """Run id -> seconds that such runs took on the mean; None where there is none like it."""
    once = rows.drop_duplicates("run_id")
    took = once["train_s"] + once["eval_s"]
    known = [took.groupby([once[name] for name in key]).mean().to_dict() for key in KEYS]

    def estimate(run: Run) -> float | None:
        cell = (run.architecture, run.method.name, run.method.n_delta_modules, run.task)
        for found, key in zip(known, (cell, cell[:2], cell[1]), strict=True):
            if key in found:
                return float(found[key])
        return None

    return {run.run_id: estimate(run) for run in runs}


def longest_first(runs: list[Run], rows: pd.DataFrame) -> list[Run]:
    """Runs in the order in which machines share them best; those of which nothing is known come first."""
    seconds = seconds_of(runs, rows)

    def longest(run: Run) -> float:
        known = seconds[run.run_id]
        return -math.inf if known is None else -known

    return sorted(runs, key=longest)
