"""`--devices-per-run 2`, in processes of its own: rows, signals, and what goes wrong in one of the processes."""

import os
import signal
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from grid_world import ENVIRONMENT, LIMIT_S, ROOT, alive, call, command, descendants, wait_for, write_tiny_task

from benchmarks.env import Env
from benchmarks.grid import pool, ranks
from benchmarks.grid.pool import default_loader_workers
from benchmarks.grid.ranks import execute_shared
from benchmarks.records.collected import read_rows
from benchmarks.suites.patching.from_scratch import TABLE13_TASKS
from benchmarks.suites.patching.spec import RunSpec
from benchmarks.tables import runs_of
from benchmarks.worlds.open import open_world
from benchmarks.worlds.options import Options
from delta_core.errors import DeltaError
from delta_core.training.errors import UserError

CELL = ("table13", "--arch", "resnet18", "--task", "textures", "--method", "standard", "--device", "cpu")


def measure(folder: Path, *more: str) -> "subprocess.Popen[bytes]":
    arguments = command("run", *CELL, "--cache", "cache", "--workers", "1", *more)
    environment = {**ENVIRONMENT, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(arguments, cwd=folder, env=environment, stdout=subprocess.DEVNULL)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder whose cache holds tiny data."""
    write_tiny_task(tmp_path / "cache", "textures", 12)
    return tmp_path


def test_a_shared_run_is_killed_and_goes_on_to_the_rows_of_one_that_was_not(place: Path) -> None:
    shared = ("--epochs", "3", "--devices-per-run", "2")
    assert measure(place, *shared, "--results", "whole").wait(LIMIT_S) == 0
    cut = measure(place, *shared, "--results", "cut", "--checkpoint-every-s", "0")
    assert wait_for(lambda: list((place / "cache" / "unfinished").glob("*/training.pt")), LIMIT_S)
    processes = descendants(cut.pid)
    cut.send_signal(signal.SIGTERM)
    assert cut.wait(LIMIT_S) == 143
    assert wait_for(lambda: not any(map(alive, processes)), 30), "nobody is left"
    assert list((place / "cache" / "unfinished").glob("*/training.pt")), "the state of the step that was under way"
    assert measure(place, *shared, "--results", "cut").wait(LIMIT_S) == 0
    whole, resumed = (read_rows(place / name / "embedded") for name in ("whole", "cut"))
    assert set(whole["world_size"]) == {2}
    for column in ("run_id", "column", "split", "value", "backbone_sha_after", "steps"):
        assert list(whole[column]) == list(resumed[column])


def one_run(cache: Path) -> tuple[RunSpec, Env]:
    options = Options(table="table13", arch=("resnet18",), task=("textures",), epochs=1)
    world = open_world(options, TABLE13_TASKS)
    (run, *_) = runs_of(options, world)
    return run, Env(results=cache / "results", cache=cache / "cache", device="cpu,cpu")  # type: ignore[return-value]


def test_what_its_processes_refuse_is_told_in_their_own_words(place: Path) -> None:
    run, env = one_run(place)
    with pytest.raises(DeltaError, match="is neither timm:TAG, pypi:NAME nor an existing file"):
        execute_shared(replace(run, weights="file:0123"), replace(env, weights_file=place / "none.pt"))


def test_a_process_that_is_killed_ends_the_run_with_its_name(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, env = one_run(place)
    killed: list[int] = []

    def look(number: int, process: object, *rest: object) -> None:
        if number == 1 and not killed:
            killed.append(process.pid)  # type: ignore[attr-defined]
            os.kill(killed[0], signal.SIGKILL)
            process.join()  # type: ignore[attr-defined]
        original(number, process, *rest)  # type: ignore[arg-type]

    original = ranks._look
    monkeypatch.setattr(ranks, "_look", look)
    with pytest.raises(RuntimeError, match=r"Process 1 of the run was killed by SIGKILL"):
        execute_shared(run, env)


def test_devices_go_to_runs_in_groups() -> None:
    four = [f"cuda:{index}" for index in range(4)]
    assert pool._shared(four, 1) == four
    assert pool._shared(four, 2) == ["cuda:0,cuda:1", "cuda:2,cuda:3"]
    assert pool._shared(four, 3) == ["cuda:0,cuda:1,cuda:2"]
    assert pool._shared(["cpu"], 2) == ["cpu,cpu"]
    with pytest.raises(UserError, match=r"--devices-per-run is 5, but there are 4 devices \(cuda:0, .*give at most 4"):
        pool._shared(four, 5)


def test_each_process_of_a_run_has_its_share_of_the_decoding_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "_cores", lambda: 32)
    assert default_loader_workers(["cuda:0", "cuda:1"], runs_at_once=2) == 15


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("table13", "--devices-per-run", "0"), "devices per run is 0"),
        (("table6", "--devices-per-run", "2"), "losses of table6 are no means over images"),
        (("table5", "--devices-per-run", "2"), "losses of table5 are no means over images"),
    ],
)
def test_what_cannot_be_shared_is_refused_before_anything_starts(
    arguments: tuple[str, ...],
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = call(monkeypatch, capsys, "run", *arguments)
    assert code == 2
    assert told in err
    assert len(err.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())
