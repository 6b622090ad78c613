"""Runs taken off the record: their files and their lines in the tables of one scale, and nothing else."""

from collections.abc import Collection
from pathlib import Path

from benchmarks.records.collected import is_of_version_1, read_rows, replace_rows, runs_path
from benchmarks.records.gates import gates_path, read_gates, replace_gates
from benchmarks.records.lock import locked_results
from benchmarks.records.record_files import diagnostics_path, record_path
from delta_core.training.errors import UserError


def forget(results: Path, run_ids: Collection[str]) -> None:
    """Remove the records of these runs below `results` (the folder of one scale), their rows and their gates.

    Records go first and rows last: killed in between, the rows are still there to be chosen again, and nothing brings
    anything back once they are gone.

    Raises:
        UserError: if the rows lie in one table of schema version 1.
    """
    if is_of_version_1(results):
        raise UserError(
            f"{runs_path(results)} is of schema version 1; put it into two tables first: "
            f"python -m benchmarks collect --scale {results.name} --results {results.parent}"
        )
    with locked_results(results):
        rows, gates = read_rows(results), read_gates(results)  # before anything goes: they may be refused
        for run_id in run_ids:
            for path_of in (record_path, gates_path, diagnostics_path):
                path_of(results, run_id).unlink(missing_ok=True)
        if gates["run_id"].isin(run_ids).any():
            replace_gates(results, gates[~gates["run_id"].isin(run_ids)])
        if rows["run_id"].isin(run_ids).any():
            replace_rows(results, rows[~rows["run_id"].isin(run_ids)])
