"""What the gates of trained patches were: one CSV per run, gathered into one tidy `gates.csv` per scale.

Beside it lies `gate_digests.csv`, one line a run; beside the record of a run a file of its gates, with a closing line.
Those without either are as schema version 2 had them: they begin with another column, and are read as they are.

This module does not import torch, so that reports can read gates without it.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from io import BytesIO
from pathlib import Path

import pandas as pd

from benchmarks.records.closing_line import above_closing_line, closed
from benchmarks.records.digests import verified, with_digests
from benchmarks.records.files import read_pair, write_pair
from benchmarks.records.lock import locked_results
from benchmarks.records.record_files import files_of_runs, record_path, set_aside
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


COLUMNS = ["run_id", *(field.name for field in fields(GateRow) if field.name != "run_id")]
ORDER = ["architecture", "task", "variant", "seed", "run_id", "sample", "block", "target", "source"]
DTYPES = {
    "sample": "Int64",
    "label": "Int64",
    "sd": "float64",
    "existing": "bool",
    # A run id may look like 12e345.
    **dict.fromkeys(("run_id", "scale", "architecture", "task", "variant", "rehearsal"), "str"),
}


def gates_path(results: Path, run_id: str) -> Path:
    """File of one run below the results folder of its scale."""
    return results / "records" / f"{run_id}.gates.csv"


def collected_gates_path(results: Path) -> Path:
    """Gates of all runs below the results folder of a scale."""
    return results / "gates.csv"


def gate_digests_path(results: Path) -> Path:
    """Digests of the runs in `gates.csv`."""
    return results / "gate_digests.csv"


def write_gates(results: Path, rows: Iterable[GateRow]) -> None:
    """Write the gates of one run."""
    rows = list(rows)
    text = closed(_csv(_frame(rows)).splitlines())
    with whole_text(gates_path(results, rows[0].run_id)) as stream:
        stream.write(text)


def collect_gates(results: Path, theirs: Sequence[pd.DataFrame] = ()) -> pd.DataFrame:
    """Gather the gates of all runs below `results` into `gates.csv`; gates of runs that are not here are kept.

    A damaged file of a run is set aside with the record of that run, which is measured again.

    Args:
        results: results folder of one scale.
        theirs: `gates_below` other folders of that scale; a run has its gates from where it is known first.

    Raises:
        UserError: if some were measured on look-alikes and others were not.
    """
    if not results.is_dir():
        return _frame([])
    with locked_results(results):
        frames = [_of_run(path) for path in files_of_runs(results, ".gates.csv")]
        here = pd.concat([frame for frame in frames if frame is not None] or [_frame([])], ignore_index=True)
        known = _read_collected(results, replaceable=set(here["run_id"]).__contains__)
        parts = _each_run_once([here, known, *theirs])
        if not parts:
            return known
        frame = pd.concat(parts, ignore_index=True).sort_values(ORDER, ignore_index=True)
        if of_rehearsal(frame) and (frame["rehearsal"] == "").any():
            raise UserError(f"{results} holds gates of a rehearsal and others; keep a rehearsal apart with --results.")
        replace_gates(results, frame)
    return frame


def gates_below(source: Path) -> pd.DataFrame:
    """Gates in the results folder of another machine, collected there or not; nothing in it is changed.

    Raises:
        UserError: if a file of them is damaged.
    """
    of_runs = []
    for path in files_of_runs(source, ".gates.csv") if source.is_dir() else []:
        try:
            of_runs.append(_read_run(path))
        except (ValueError, KeyError) as error:
            raise UserError(
                f"{path} cannot be read ({' '.join(str(error).split())[:200]}); delete it with the record beside it, "
                "whose run is then measured again."
            ) from error
    ids = {run_id for frame in of_runs for run_id in frame["run_id"]}
    collected = _read_collected(source, replaceable=ids.__contains__)
    return pd.concat(_each_run_once([*of_runs, collected]) or [_frame([])], ignore_index=True)


def _each_run_once(frames: Iterable[pd.DataFrame]) -> list[pd.DataFrame]:
    """Frames with rows, without runs that stand in an earlier one."""
    parts, taken = [], set[str]()
    for frame in frames:
        new = frame[~frame["run_id"].isin(taken)]
        taken |= set(new["run_id"])
        parts.append(new)
    return [part for part in parts if len(part)]


def of_rehearsal(gates: pd.DataFrame) -> bool:
    """Whether some gates were measured on look-alikes."""
    return bool((gates["rehearsal"] != "").any())


def replace_gates(results: Path, gates: pd.DataFrame) -> None:
    """Write `gates.csv` and its digests as one change, by whoever holds the lock."""
    text = _csv(gates)
    runs = pd.DataFrame({"run_id": sorted(set(gates["run_id"]))}).to_csv(index=False, lineterminator="\n")
    write_pair(gate_digests_path(results), collected_gates_path(results), (with_digests(runs, text), text))


def read_gates(results: Path) -> pd.DataFrame:
    """`gates.csv` of a scale, verified, columns `COLUMNS`; empty if it is not there.

    Raises:
        UserError: if it cannot be read, or is not what its digests say.
    """
    return _read_collected(results, replaceable=lambda _: False)


def _read_collected(results: Path, *, replaceable: Callable[[str], bool]) -> pd.DataFrame:
    """As `read_gates`, without those damaged runs that can be taken from elsewhere."""
    path, digests = collected_gates_path(results), gate_digests_path(results)
    older = path.read_bytes() if path.exists() else None  # before the look for digests, which a writer lays down first
    try:
        if not digests.exists():
            return _frame([]) if older is None else _older(older)
        runs, gates = read_pair(digests, path)
        if gates is None:
            raise ValueError("it is not there, and its digests are")
        return _parsed(verified((digests, path), (runs, gates), replaceable=replaceable)[1])
    except (ValueError, KeyError) as error:
        raise UserError(
            f"{path} is not a file of gates ({type(error).__name__}: {' '.join(str(error).split())[:200]}); restore it "
            f"and {digests.name}, e.g. from git, or move both away and run again."
        ) from error


def runs_with_gates(results: Path) -> frozenset[str]:
    """Ids of the runs in `gates.csv` of a scale."""
    return frozenset(read_gates(results)["run_id"])


def _of_run(path: Path) -> pd.DataFrame | None:
    """Gates from the file of one run; None if it is damaged, and then it is set aside with the run's record."""
    try:
        return _read_run(path)
    except (ValueError, KeyError) as error:
        set_aside(path, " ".join(str(error).split())[:200])
        record = record_path(path.parents[1], path.name.removesuffix(".gates.csv"))
        if record.exists():
            set_aside(record, "its gates are")
        return None


def _read_run(path: Path) -> pd.DataFrame:
    content = path.read_bytes()
    above = above_closing_line(content)
    return _older(content) if above is None else _parsed(above)


def _older(content: bytes) -> pd.DataFrame:
    """Gates as schema version 2 wrote them."""
    if not content.startswith(b"block,"):
        raise ValueError("its digests are missing")
    return _parsed(content)


def _parsed(content: bytes) -> pd.DataFrame:
    frame = pd.read_csv(BytesIO(content), dtype=DTYPES)
    marks = frame["rehearsal"].fillna("") if "rehearsal" in frame else ""
    return frame.assign(rehearsal=marks)[COLUMNS]


def _frame(rows: list[GateRow]) -> pd.DataFrame:
    return pd.DataFrame([asdict(row) for row in rows], columns=COLUMNS).astype(DTYPES)


def _csv(frame: pd.DataFrame) -> str:
    frame = frame if of_rehearsal(frame) else frame.drop(columns="rehearsal")
    return frame.to_csv(index=False, lineterminator="\n", float_format="%.6g")
