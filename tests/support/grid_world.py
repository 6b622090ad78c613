"""A grid on tiny data: `python -m benchmarks` in processes of its own, or in this one."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from forked import act
from inline_workers import InlineWorkers

from benchmarks.cli import main
from benchmarks.data import embedded
from benchmarks.data.images import ImageSplit, ImageTask
from benchmarks.env import Env
from benchmarks.grid import pool, work
from benchmarks.grid.fork_server import process_context
from benchmarks.nets.pretraining import BaseSpec
from benchmarks.records.rows import KEY, Row
from benchmarks.suites.patching.spec import RunSpec
from benchmarks.suites.patching.world import PATCHING_TASKS
from benchmarks.tables import runs_of
from benchmarks.worlds.open import open_world
from benchmarks.worlds.options import Options

ROOT = Path(__file__).parents[2]
ONE_CELL = ("table2", "--arch", "resnet18", "--task", "optdigits", "--epochs", "1")
TWO_RUNS = (*ONE_CELL, "--method", "fc_only", "--method", "delta_networks:maps")
COMPARED = [*KEY, "value", "backbone_sha_after", "steps"]
"""Columns that are equal wherever a run is measured."""
LIMIT_S = 600


def write_tiny_task(cache: Path, name: str, classes: int) -> None:
    """Noise under the file name that `load_embedded` looks for, a few images of each class."""
    random = np.random.default_rng(classes)

    def split(per_class: int) -> ImageSplit:
        labels = np.repeat(np.arange(classes, dtype=np.int64), per_class)
        images = random.integers(0, 256, (len(labels), 32, 32, 3), dtype=np.uint8)
        return ImageSplit(images=images, labels=labels)

    names = tuple(f"class {index}" for index in range(classes))
    task = ImageTask(name=name, class_names=names, train=split(3), val=split(1), test=split(2), source="noise")
    embedded._write(cache / "data" / f"{name}-v{embedded.data_version(name)}.npz", task)


def write_one_cell(cache: Path) -> None:
    """The tiny base task and the tiny patch task of `ONE_CELL`."""
    write_tiny_task(cache, "glyphs62", 62)
    write_tiny_task(cache, "optdigits", 10)


def tree(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Every file below a folder with its bytes and time of change."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "benchmarks", *map(str, arguments)]


ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def bench(*arguments: object) -> subprocess.CompletedProcess[str]:
    """`python -m benchmarks` in a process of its own, which imports nothing again."""
    words = [str(argument) for argument in arguments]
    with TemporaryDirectory() as folder:
        streams = Path(folder, "out"), Path(folder, "err")
        for stream in streams:
            stream.touch()
        process = process_context().Process(target=act, args=(partial(_main, words, dict(os.environ)), ROOT, streams))
        process.start()
        process.join(LIMIT_S)
        assert process.exitcode is not None, f"{words} takes more than {LIMIT_S} s"
        return subprocess.CompletedProcess(words, process.exitcode, *(stream.read_text() for stream in streams))


def _main(words: list[str], environment: dict[str, str]) -> None:
    os.environ |= environment
    sys.argv = ["python -m benchmarks", *words]
    main()


def run_ids(*, arch: str = "resnet18", task: str = "optdigits", epochs: int = 1) -> dict[str, RunSpec]:
    options = Options(table="table2", arch=(arch,), task=(task,), epochs=epochs)
    return {run.run_id: run for run in runs_of(options, open_world(options, PATCHING_TASKS))}


def base_spec() -> BaseSpec:
    return open_world(Options(table="table2", arch=("resnet18",)), PATCHING_TASKS).bases[0]


def descendants(pid: int) -> list[int]:
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (parent := alive(int(entry.name))):
            parents[int(entry.name)] = parent
    found = [pid]
    for known in found:
        found += [child for child, parent in parents.items() if parent == known]
    return found[1:]


def alive(pid: int) -> int:
    """Parent of a running process; 0 if it is gone or a zombie."""
    try:
        state, parent = (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[:2]
    except OSError:
        return 0
    return 0 if state == "Z" else int(parent)


def wait_for(condition: Callable[[], object], limit_s: float) -> bool:
    end = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def call(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: object
) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of `python -m benchmarks`."""
    monkeypatch.setattr(sys, "argv", ["python -m benchmarks", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    captured = capsys.readouterr()
    return int(ended.value.code or 0), captured.out, captured.err


def measured_here(monkeypatch: pytest.MonkeyPatch, rows_of: Callable[[RunSpec | BaseSpec, Env], list[Row]]) -> None:
    """Let a grid measure in this process, in no time, what a function says."""
    monkeypatch.setattr(work, "measure", rows_of)
    monkeypatch.setattr(work, "pretrain", rows_of)
    monkeypatch.setattr(work, "load_embedded", lambda *_, **__: None)
    monkeypatch.setattr(pool, "_pool", lambda env, _: InlineWorkers(lambda task: work.work_on(task, env)))
