"""Rows measured on look-alikes of data sets: what a rehearsal leaves. They never stand beside measured ones.

The mark is the identity of the data, which is part of a run's id and of its `config`: whatever is copied or merged
carries it, and no run on look-alikes has the id of a run on the data sets themselves.
"""

import pandas as pd

from benchmarks.records.names import LOOK_ALIKE
from delta_core.training.errors import UserError

BANNER = "REHEARSAL, NOT RESULTS: measured on look-alike data with random weights."
"""What every page and picture made of such rows says first."""


def banner_of(config: str) -> str:
    """What stands in each line beside rows (gates) that a run of this configuration leaves; empty for results."""
    return BANNER if f':"{LOOK_ALIKE}' in config else ""


def on_look_alikes(rows: pd.DataFrame) -> "pd.Series[bool]":
    """Which rows were measured on look-alikes."""
    return rows["config"].map(banner_of).astype(bool)


def is_rehearsal(rows: pd.DataFrame) -> bool:
    """Whether any row was measured on look-alikes."""
    return bool(on_look_alikes(rows).any())


def check_of_one_kind(rows: pd.DataFrame) -> None:
    """Refuse rows measured on look-alikes beside others.

    Raises:
        UserError: naming a run of each.
    """
    marked = on_look_alikes(rows)
    if marked.any() and not marked.all():
        look_alike, other = (rows[which]["run_id"].iloc[0] for which in (marked, ~marked))
        raise UserError(
            f"Run {look_alike} was measured on look-alike data and run {other} was not, so they cannot lie in one "
            "folder; keep a rehearsal apart with --results."
        )
