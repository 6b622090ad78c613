"""What the suite does with many records, to be timed: collect, read, plan, and show them in all reports."""

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from benchmarks.grid.plan import plan
from benchmarks.perf.reports import show_all
from benchmarks.perf.synthetic_rows import planned_runs, synthetic_rows_by_run
from benchmarks.records.collected import collect, read_rows, runs_path, values_path, write_rows
from benchmarks.records.record_files import write_record
from benchmarks.records.rows import to_frame
from benchmarks.spec import Run
from benchmarks.suites.patching.world import PATCHING_TASKS
from benchmarks.worlds.open import open_world
from benchmarks.worlds.options import Options


def on_records(counts: Sequence[int], folder: Path) -> Mapping[str, Mapping[int, Callable[[], object]]]:
    """Commands by name and by number of records, each number in a results folder of its own below `folder`."""
    by_run = synthetic_rows_by_run(max(counts))
    seeds = 1 + max(row.seed for rows in by_run for row in rows)
    runs = planned_runs(seeds, folder / "none")
    written = [write_record(folder / "whole", rows) for rows in by_run]
    found: dict[str, dict[int, Callable[[], object]]] = {
        name: {} for name in ("collecting", "reading", "planning", "all reports")
    }
    for count in counts:
        place = folder / f"{count}" / "embedded"
        (place / "records").mkdir(parents=True)
        for record in written[:count]:
            os.link(record, place / "records" / record.name)
        collect(place)
        shown = folder / f"shown-{count}"
        write_rows(shown / "embedded", to_frame([row for rows in by_run[:count] for row in rows]))
        found["collecting"][count] = partial(_collect_anew, place)
        found["reading"][count] = partial(read_rows, place)
        found["planning"][count] = partial(_plan, place, runs[:count])
        found["all reports"][count] = partial(show_all, shown)
    return found


def _collect_anew(place: Path) -> None:
    for table in (runs_path(place), values_path(place)):
        table.unlink()
    collect(place)


def _plan(place: Path, runs: list[Run]) -> None:
    options = Options(table="table2", results=place.parent, cache=place.parent / "cache", dry_run=True)
    plan(open_world(options, PATCHING_TASKS), runs)
