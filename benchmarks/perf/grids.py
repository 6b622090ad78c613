"""What a grid adds to each run, on this machine's own pool and on Ray; and commands on many records."""

import os
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from benchmarks.grid.plan import Planned
from benchmarks.grid.pool import run_all
from benchmarks.perf.no_work.spec import NoWork
from benchmarks.perf.paired import interleaved_seconds
from benchmarks.perf.rows import PerfRow, perf_row
from benchmarks.perf.synthetic_rows import synthetic_rows_by_run
from benchmarks.records.record_files import write_record
from benchmarks.suites.patching.world import PATCHING_TASKS
from benchmarks.worlds.open import open_world
from benchmarks.worlds.options import Options

ROOT = Path(__file__).parents[2]
WORKERS = 2


def measure_overhead(*, repetitions: int = 3, runs: int = 2000) -> list[PerfRow]:
    """Seconds that a run of no work takes on Ray, against this machine's own pool.

    Of the whole grid, start and end included: two workers here, a cluster of two cores there.
    """
    places = {"ray": "local", "pool": None}
    kept: dict[str, list[float]] = {name: [] for name in places}
    for _ in range(repetitions):
        for name, cluster in places.items():
            kept[name].append(_seconds(runs, cluster) / runs)
    setting: dict[str, object] = {"runs": runs, "workers": WORKERS}
    return [perf_row("run of no work on Ray / on the pool", "s", kept["ray"], kept["pool"], setting)]


def _seconds(runs: int, cluster: str | None) -> float:
    """Of a whole grid of runs that do nothing."""
    from benchmarks.cluster.connect import workers_on_cluster  # needs the extra

    with tempfile.TemporaryDirectory() as folder:
        options = Options(
            table="table2",
            results=Path(folder) / "results",
            cache=Path(folder) / "cache",
            workers=WORKERS,
            cluster=cluster,
        )
        world = replace(open_world(options, PATCHING_TASKS), bases=())
        todo = [NoWork(seed=seed) for seed in range(runs)]
        planned = [Planned(run=run, state="todo") for run in todo]
        started = time.perf_counter()
        on = workers_on_cluster(world, list(todo), tell=lambda _: None) if cluster else nullcontext()
        with on as pool:
            tally = run_all(world, planned, workers=WORKERS, report=lambda _: None, cluster=pool)
        seconds = time.perf_counter() - started
        if tally.failures:
            raise RuntimeError(f"{tally.failures} of {runs} runs that do nothing failed.")
        return seconds


def measure_records(*, repetitions: int = 3, records: int = 20_000) -> list[PerfRow]:
    """Seconds of commands on a folder of many records, as a process each, against one on an empty folder.

    The goal for 20,000 records is less than 5 s.
    """
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder)
        by_run = synthetic_rows_by_run(records)
        for found in by_run:
            write_record(results / "embedded", found)
        seeds = 1 + max(row.seed for rows in by_run for row in rows)
        commands = {
            "collect": ("collect", "--scale", "embedded"),
            "plan all": ("plan", "all", "--seeds", str(seeds)),
            "status table2": ("status", "table2", "--seeds", str(seeds)),
        }

        def call(*words: str) -> None:
            place = ("--results", folder)
            subprocess.run(
                [sys.executable, "-m", "benchmarks", *words, *place],
                env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=subprocess.DEVNULL, check=True, cwd=folder,
            )  # fmt: skip

        calls = {name: lambda words=words: call(*words) for name, words in commands.items()}
        empty = tempfile.mkdtemp(dir=folder)
        seconds = interleaved_seconds(
            {**calls, "status of none": lambda: call("status", "table2", "--results", empty)}, repetitions
        )
    setting: dict[str, object] = {"records": len(by_run), "seeds": seeds}
    return [
        perf_row(f"{name} / status without records", "s", seconds[name], seconds["status of none"], setting)
        for name in commands
    ]
