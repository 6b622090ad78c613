"""What the gates of trained patches were: one CSV per run, gathered into one tidy `gates.csv` per scale.

This module does not import torch, so that reports can read gates without it.
"""

from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import pandas as pd

from benchmarks.records.rows import Scale
from delta_core.training.errors import UserError
from delta_core.training.skip_gate import SkipGate
from delta_core.training.whole_files import whole_text


@dataclass(frozen=True, kw_only=True)
class GateRow(SkipGate):
    """A gate with the run that it was recorded in."""

    run_id: str
    scale: Scale
    architecture: str
    task: str
    variant: str
    """Reading of the paper that the run followed; gates of two readings are never averaged."""
    seed: int
    rehearsal: str = ""
    """Says in each line that it was measured on look-alikes; files of results have no such column."""


COLUMNS = [field.name for field in fields(GateRow)]
DTYPES = {
    "sample": "Int64",
    "label": "Int64",
    "sd": "float64",
    "existing": "bool",
    **dict.fromkeys(
        ("run_id", "scale", "architecture", "task", "variant", "rehearsal"), "str"
    ),  # a run id may look like 12e345
}


def gates_path(results: Path, run_id: str) -> Path:
    """File of one run below the results folder of its scale."""
    return results / "records" / f"{run_id}.gates.csv"


def write_gates(results: Path, rows: Iterable[GateRow]) -> None:
    """Write the gates of one run."""
    rows = list(rows)
    _write(gates_path(results, rows[0].run_id), _frame(rows))


def collect_gates(results: Path) -> pd.DataFrame:
    """Gather the gates of all runs below `results` into `gates.csv`; gates of runs that are not here are kept.

    Raises:
        UserError: if some were measured on look-alikes and others were not.
    """
    frames = [_read(path) for path in sorted((results / "records").glob("*.gates.csv"))]
    if not frames:
        return read_gates(results)
    frame = pd.concat(frames, ignore_index=True)
    known = read_gates(results)
    kept = known[~known["run_id"].isin(frame["run_id"])]
    frame = pd.concat([frame, kept], ignore_index=True) if len(kept) else frame
    order = ["architecture", "task", "variant", "seed", "run_id", "sample", "block", "target", "source"]
    frame = frame.sort_values(order, ignore_index=True)
    if of_rehearsal(frame) and (frame["rehearsal"] == "").any():
        raise UserError(f"{results} holds gates of a rehearsal and others; keep a rehearsal apart with --results.")
    _write(results / "gates.csv", frame)
    return frame


def of_rehearsal(gates: pd.DataFrame) -> bool:
    """Whether some gates were measured on look-alikes."""
    return bool((gates["rehearsal"] != "").any())


def forget_gates(results: Path, run_ids: Collection[str]) -> None:
    """Take the gates of these runs out of `gates.csv`; a file that has none of them is left as it is."""
    gates = read_gates(results)
    if gates["run_id"].isin(run_ids).any():
        _write(results / "gates.csv", gates[~gates["run_id"].isin(run_ids)])


def read_gates(results: Path) -> pd.DataFrame:
    """`gates.csv` of a scale, columns `COLUMNS`; empty if it is not there.

    Raises:
        UserError: if it cannot be read.
    """
    path = results / "gates.csv"
    return _read(path) if path.exists() else _frame([])


def runs_with_gates(results: Path) -> frozenset[str]:
    """Ids of the runs in `gates.csv` of a scale."""
    return frozenset(read_gates(results)["run_id"])


def _frame(rows: list[GateRow]) -> pd.DataFrame:
    return pd.DataFrame([asdict(row) for row in rows], columns=COLUMNS).astype(DTYPES)


def _read(path: Path) -> pd.DataFrame:
    try:
        frame = pd.read_csv(path, dtype=DTYPES)
        return frame.assign(rehearsal=frame.get("rehearsal", ""))[COLUMNS]
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{path} is not a file of gates ({type(error).__name__}); delete it and run again.") from error


def _write(path: Path, frame: pd.DataFrame) -> None:
    frame = frame if of_rehearsal(frame) else frame.drop(columns="rehearsal")
    with whole_text(path) as stream:
        frame.to_csv(stream, index=False, lineterminator="\n", float_format="%.6g")
