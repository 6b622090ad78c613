"""Rendering all reports of many rows: a whole process, from its start to the file on disk."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.perf.paired import interleaved_seconds
from benchmarks.perf.rows import PerfRow, perf_row
from benchmarks.perf.synthetic_rows import synthetic_rows
from benchmarks.records.collected import write_rows
from benchmarks.records.rows import to_frame

ROOT = Path(__file__).parents[2]

# Started by name: this package does not import reports, and a process of its own has its own peak.
RENDER = "import runpy, sys; runpy.run_module('reports', run_name='__main__')"
READ = "import pathlib, sys; from benchmarks.records.collected import read_rows; read_rows(pathlib.Path(sys.argv[1]))"
PRINT_PEAK = "; from delta_core.training.process import peak_resident_mb; print(peak_resident_mb())"


def measure(*, repetitions: int = 3, at_least: int = 100_000) -> list[PerfRow]:
    """Seconds and peak memory of `reports html` on synthetic rows of every table, against reading the rows alone.

    The goal for 100,000 rows is less than 10 s and 1 GB.
    """
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder)
        rows = write_rows(results / "embedded", to_frame(synthetic_rows(at_least)))
        peaks: dict[str, list[float]] = {"render": [], "read": []}

        def render() -> None:
            peaks["render"].append(show_all(results))

        def read() -> None:
            peaks["read"].append(_run(READ, str(results / "embedded")))

        seconds = interleaved_seconds({"render": render, "read": read}, repetitions)
    setting: dict[str, object] = {"rows": len(rows), "suites": sorted(rows["suite"].unique())}
    name = "all reports / reading their rows"
    warm = {kind: found[-repetitions:] for kind, found in peaks.items()}
    return [
        perf_row(f"time of {name}", "s", seconds["render"], seconds["read"], setting),
        perf_row(f"peak memory of {name}", "MiB", warm["render"], warm["read"], setting),
    ]


def show_all(results: Path) -> float:
    """Every report of the rows in a results folder, by a process of its own; returns its peak memory in MiB."""
    return _run(RENDER, "html", "--results", str(results))


def _run(code: str, *arguments: str) -> float:
    """Run Python code in a process of its own; returns its peak resident memory in MiB.

    Raises:
        CalledProcessError: if it failed.
    """
    done = subprocess.run(
        [sys.executable, "-c", code + PRINT_PEAK, *arguments],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return float(done.stdout.split()[-1])
