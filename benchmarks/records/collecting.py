"""`python -m benchmarks collect`: records into tables. It reads and writes rows alone, and so without torch."""

import sys
from pathlib import Path

import pandas as pd
import tyro

from benchmarks.records.collected import values_path
from benchmarks.records.gates import collect_gates, gates_below
from benchmarks.records.merge import merge
from benchmarks.records.record_files import take_arrays
from benchmarks.records.rows import Scale
from delta_core.training.command_line import told_in_one_sentence
from delta_core.training.errors import UserError


def main(prog: str) -> None:
    """What the command does, where no other one is wanted; bad input gives one sentence and exit code 2."""
    with told_in_one_sentence(prog, interrupted="the tables are as they were, or whole; start it again."):
        sys.exit(tyro.cli(collect_rows, prog=f"{prog} collect", args=sys.argv[2:]))


def collect_rows(
    sources: tyro.conf.Positional[tuple[Path, ...]] = (), *, scale: Scale, results: Path = Path("results")
) -> int:
    """Gather the records of one scale into runs.csv and values.csv, with rows, gates and pictures of other machines.

    One table of schema version 1 becomes two, and is kept as runs.v1.csv.

    Args:
        sources: folders with records/ or runs.csv of the same scale.
        scale: scale of the rows.
        results: where rows go.
    """
    if results.exists() and not results.is_dir():
        raise UserError(f"--results {str(results)!r} is a file; give the folder that holds those of each scale.")
    gates = [gates_below(source) for source in sources]  # before any row is taken over: damage is refused whole
    frame = merge(results / scale, scale, sources)
    runs = set(frame["run_id"])
    collect_gates(results / scale, [part[part["run_id"].isin(runs)] for part in gates])
    for source in sources:
        take_arrays(results / scale, source, runs)
    print(collected(frame, results / scale))
    return 0


def collected(frame: pd.DataFrame, results: Path) -> str:
    """How many rows there are and where; without rows no file is written."""
    return f"{len(frame)} rows in {values_path(results)}" if len(frame) else f"There are no rows below {results}."
