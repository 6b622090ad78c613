"""The rows and gates below a results folder, compared with those of the undisturbed world."""

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd

from benchmarks.records.collected import read_rows
from benchmarks.records.gates import read_gates
from benchmarks.records.rows import KEY
from delta_core.training.errors import UserError
from tests.faults.verdict import Verdict

OF_A_MOMENT = ("train_s", "eval_s", "peak_mem_mb", "measured_at", "git_sha", "git_dirty")
"""Columns that differ whenever a run is measured anew."""
OF_A_GATE = ("value", "sd")

Rows = dict[tuple[str, ...], tuple[tuple[str, ...], tuple[str, ...]]]
"""What tells a row apart -> what is bound to be the same when it is measured anew, and what is not."""


def rows_below(results: Path) -> tuple[Rows, int]:
    """Rows and gates of the folder of one scale, and how many of them stand there twice.

    Raises:
        UserError: as the readers of the suite do.
    """
    rows, gates = _keyed(read_rows(results), list(KEY), OF_A_MOMENT), Counter[tuple[str, ...]]()
    frame = read_gates(results)
    told = [name for name in frame.columns if name not in OF_A_GATE]
    rows |= _keyed(frame, told, ())
    gates.update(tuple(row) for row in frame[told].astype("object").map(str).to_numpy().tolist())
    return rows, sum(count - 1 for count in gates.values())


def _keyed(frame: pd.DataFrame, key: list[str], of_a_moment: tuple[str, ...]) -> Rows:
    fixed = [name for name in frame.columns if name not in key and name not in of_a_moment]
    text = frame.astype("object").map(str)  # NaN is equal to itself then
    parts = (text[list(names)].to_numpy().tolist() for names in (key, fixed, of_a_moment))
    return {tuple(name): (tuple(same), tuple(moment)) for name, same, moment in zip(*parts, strict=True)}


def compare(results: Path, reference: Rows, *, measured_anew: bool) -> Verdict:
    """What became of rows that must lie below `results`, and of no others."""
    try:
        found, doubled = rows_below(results)
    except UserError as error:
        return Verdict(lost=1, notes=(f"rows cannot be read: {str(error)[:200]}",))
    missing, more = reference.keys() - found.keys(), found.keys() - reference.keys()
    sides = slice(0, 1) if measured_anew else slice(None)
    differing = [key for key in reference.keys() & found.keys() if found[key][sides] != reference[key][sides]]
    notes = [
        *([f"{len(missing)} rows lost, e.g. {_shown(min(missing))}"] if missing else []),
        *([f"{doubled} rows doubled"] if doubled else []),
        *([f"{len(more)} rows that nobody measured, e.g. {_shown(min(more))}"] if more else []),
        *(f"row {_shown(key)} differs" for key in differing[:1]),
    ]
    return Verdict(
        lost=int(bool(missing)), doubled=int(bool(doubled)), silent=int(bool(differing or more)), notes=tuple(notes)
    )


def of_runs(rows: Rows, chosen: Callable[[Mapping[str, str]], bool]) -> Rows:
    """Rows whose key is chosen; gates are left out."""
    return {key: row for key, row in rows.items() if len(key) == len(KEY) and chosen(dict(zip(KEY, key, strict=True)))}


def _shown(key: tuple[str, ...]) -> str:
    return " ".join(part for part in key if part and part != "<NA>")
