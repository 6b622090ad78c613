"""A grid in trouble: deadly runs, other drivers, disks and limits. Nothing finished is lost, nothing is silent."""

import errno
import json
import os
import resource
import shutil
import signal
import subprocess
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
import torch
from fake_rows import one_row
from grid_world import (
    ENVIRONMENT,
    LIMIT_S,
    ONE_CELL,
    ROOT,
    alive,
    base_spec,
    call,
    command,
    descendants,
    measured_here,
    run_ids,
    wait_for,
    write_one_cell,
)
from inline_workers import InlineWorkers

from benchmarks.env import Env
from benchmarks.grid import pool, work
from benchmarks.grid.work import Task
from benchmarks.grid.workers import Died
from benchmarks.nets.pretraining import BaseSpec
from benchmarks.records.collected import read_rows
from benchmarks.records.record_files import record_path, write_record
from benchmarks.records.rows import Row
from benchmarks.suites.patching.spec import RunSpec
from delta_core.training.lock import locked

Call = Callable[..., tuple[int, str, str]]
Job = RunSpec | BaseSpec


@pytest.fixture
def delta_bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """`python -m benchmarks` in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: call(monkeypatch, capsys, *arguments)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return tmp_path / "results" / "embedded"


class Measured:
    """What was measured, and what happens instead of it to the runs of a method."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.instead: dict[str, Callable[[Job], list[Row]]] = {}

    def __call__(self, job: Job, _: Env) -> list[Row]:
        self.ids.append(job.run_id)
        name = job.method.name if isinstance(job, RunSpec) else "pretrain"
        return self.instead[name](job) if name in self.instead else rows_of(job)


def rows_of(job: Job, **changes: object) -> list[Row]:
    return [one_row(run_id=job.run_id, method="fc_only", **changes)]


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> Measured:
    """Runs are measured in this process and in no time."""
    measured = Measured()
    measured_here(monkeypatch, measured)
    return measured


def fc_only() -> str:
    return next(run_id for run_id, run in run_ids().items() if run.method.name == "fc_only")


def recorded(results: Path) -> set[str]:
    return {path.stem for path in (results / "records").glob("*.jsonl")}


# --- deadly runs -----------------------------------------------------------------------------------------------------


def leave(_: Job) -> list[Row]:
    raise SystemExit(3)


BAD_RUNS: dict[str, tuple[Callable[[Job], list[Row]], str]] = {
    "sys.exit": (leave, "SystemExit: 3"),
    "no rows": (lambda _: [], "A record holds the rows of exactly one run, got []"),
    "unserialisable": (lambda job: rows_of(job, value=object()), "not of type float64"),
    "not a number": (lambda job: rows_of(job, value=float("nan")), "nan"),
    "more than all": (lambda job: rows_of(job, value=101.0), "101"),
    "another's rows": (lambda job: [*rows_of(job), one_row(run_id="0123456789ab")], "the rows of exactly one run"),
}


@pytest.mark.parametrize("case", BAD_RUNS)
def test_a_bad_run_is_marked_by_name_with_its_reason(
    case: str, delta_bench: Call, measured: Measured, results: Path
) -> None:
    measured.instead["fc_only"], reason = BAD_RUNS[case]
    code, out, err = delta_bench("run", *ONE_CELL)
    assert (code, err) == (1, "")
    assert "resnet18 optdigits fc_only seed 0: FAILED, " in out
    assert reason in json.loads((results / "failed" / f"{fc_only()}.json").read_text())["traceback"]
    assert recorded(results) == {*run_ids(), base_spec().run_id} - {fc_only()}, "the others went on"
    assert set(read_rows(results)["run_id"]) == recorded(results)


def dies_at(run_id: str, env: Env, *, after: bool = False) -> InlineWorkers:
    """Workers of which one is killed at a run, before or after it wrote the record."""

    def work_on(task: Task) -> object:
        at_it = not isinstance(task.job, str) and task.job.run_id == run_id
        if at_it and not after:
            return Died("killed by SIGKILL (out of memory?)")
        result = work.work_on(task, env)
        return Died("killed by SIGSEGV") if at_it else result

    return InlineWorkers(work_on)


@pytest.mark.usefixtures("measured")
def test_a_run_that_kills_its_process_is_marked_too(
    delta_bench: Call, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "_pool", lambda env, _: dies_at(fc_only(), env))
    code, out, err = delta_bench("run", *ONE_CELL)
    assert (code, err) == (1, "")
    assert "fc_only seed 0: FAILED, its process was killed by SIGKILL (out of memory?)" in out
    failure = json.loads((results / "failed" / f"{fc_only()}.json").read_text())
    assert failure["traceback"].startswith(
        "Its process was killed by SIGKILL (out of memory?) in the middle of the run"
    )
    assert recorded(results) == {*run_ids(), base_spec().run_id} - {fc_only()}


@pytest.mark.usefixtures("measured")
def test_a_run_is_done_that_died_behind_its_record(
    delta_bench: Call, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "_pool", lambda env, _: dies_at(fc_only(), env, after=True))
    assert delta_bench("run", *ONE_CELL)[0] == 0
    assert recorded(results) == {*run_ids(), base_spec().run_id}
    assert not (results / "failed").exists()


@pytest.mark.usefixtures("measured")
def test_without_a_base_whose_process_died_no_run_starts(
    delta_bench: Call, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "_pool", lambda env, _: dies_at(base_spec().run_id, env))
    assert delta_bench("run", *ONE_CELL)[0] == 1
    assert recorded(results) == set()
    assert [path.stem for path in (results / "failed").iterdir()] == [base_spec().run_id]


# --- other drivers ---------------------------------------------------------------------------------------------------


class Other:
    """A driver that has claimed a job, and ends when ours has nothing else to do."""

    def __init__(self, lock: Path, end: Callable[[], None]) -> None:
        self._held = ExitStack()
        self._held.enter_context(locked(lock))
        self._end = end

    def measures_on(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Until a task comes that would wait."""
        work_on = work.work_on

        def end_first(task: Task, env: Env) -> work.Result:
            if task.wait:
                self._end()
                self._held.close()
            return work_on(task, env)

        monkeypatch.setattr(work, "work_on", end_first)


def test_a_run_that_another_driver_is_at_is_left_to_it(
    delta_bench: Call, measured: Measured, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = run_ids()[fc_only()]
    Other(results / ".locks" / fc_only(), lambda: write_record(results, rows_of(job))).measures_on(monkeypatch)
    code, out, err = delta_bench("run", *ONE_CELL)
    assert (code, err) == (0, "")
    assert sorted(measured.ids) == sorted({*run_ids(), base_spec().run_id} - {fc_only()}), "each once, but the other's"
    assert f"fc_only seed 0: left to process {os.getpid()}, which is at it" in out
    (taken,) = [line for line in out.splitlines() if "fc_only seed 0: " in line and "left to" not in line]
    assert "measured by another command" in taken
    assert taken.startswith("[9/9]")
    assert set(read_rows(results)["run_id"]) == {*run_ids(), base_spec().run_id}


def test_a_run_whose_driver_died_is_measured_after_all(
    delta_bench: Call, measured: Measured, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Other(results / ".locks" / fc_only(), lambda: None).measures_on(monkeypatch)
    assert delta_bench("run", *ONE_CELL)[0] == 0
    assert measured.ids[-1] == fc_only()
    assert sorted(measured.ids) == sorted({*run_ids(), base_spec().run_id})


def test_a_base_is_trained_by_one_driver(
    delta_bench: Call, measured: Measured, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = base_spec()
    monkeypatch.setattr(work, "is_trained", lambda *_: record_path(results, base.run_id).exists())
    Other(results / ".locks" / base.run_id, lambda: write_record(results, rows_of(base))).measures_on(monkeypatch)
    code, out, _ = delta_bench("run", *ONE_CELL)
    assert code == 0
    assert "pre-trained resnet18 on glyphs62: left to process" in out
    assert sorted(measured.ids) == sorted(run_ids()), "the base is the other's"


@pytest.mark.usefixtures("measured")
def test_locks_leave_no_file(delta_bench: Call, results: Path) -> None:
    assert delta_bench("run", *ONE_CELL)[0] == 0
    assert list((results / ".locks").iterdir()) == []


# --- disks and limits ------------------------------------------------------------------------------------------------

TROUBLES = {
    errno.ENOSPC: "The disk is full",
    errno.EROFS: "may not be read or written",
    errno.EACCES: "may not be read or written",
    errno.EIO: "Input/output error",
    errno.ENOENT: "No such file or directory",
}


@pytest.mark.parametrize("number", TROUBLES, ids=errno.errorcode.get)
def test_a_grid_stops_at_the_first_row_that_cannot_be_written(
    number: int, delta_bench: Call, measured: Measured, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = work.write_record

    def write_three(folder: Path, rows: list[Row]) -> Path:
        if len(recorded(results)) == 3:
            raise OSError(number, os.strerror(number), str(record_path(folder, rows[0].run_id)))
        return write(folder, rows)

    monkeypatch.setattr(work, "write_record", write_three)
    code, _, err = delta_bench("run", *ONE_CELL)
    assert (code, err.count("\n")) == (1, 1)
    assert TROUBLES[number] in err
    assert "what was finished is kept" in err or "see who owns it" in err
    assert len(measured.ids) == 4, "no more was measured"
    assert set(read_rows(results)["run_id"]) == set(measured.ids[:3]), "what was finished is in the table"
    assert not (results / "failed").exists(), "it was not the run's fault"


def test_a_full_cache_stops_the_grid_and_a_forbidden_image_one_run(
    delta_bench: Call, measured: Measured, results: Path
) -> None:
    def forbidden(_: Job) -> list[Row]:
        raise PermissionError(errno.EACCES, "Permission denied", "/photographs/0.png")

    measured.instead["fc_only"] = forbidden
    assert delta_bench("run", *ONE_CELL)[0] == 1
    assert recorded(results) == {*run_ids(), base_spec().run_id} - {fc_only()}

    def full(_: Job) -> list[Row]:
        raise OSError(errno.ENOSPC, "No space left on device")

    measured.instead["fc_only"] = full
    code, _, err = delta_bench("run", *ONE_CELL)
    assert (code, err.count("\n")) == (1, 1)
    assert "The disk is full" in err


def test_a_folder_that_is_none_any_more_stops_the_grid(delta_bench: Call, measured: Measured, results: Path) -> None:
    def exchange(job: Job) -> list[Row]:
        (results / "records").rename(results / "moved")
        (results / "records").touch()
        return rows_of(job)

    measured.instead["fc_only"] = exchange
    code, _, err = delta_bench("run", *ONE_CELL)
    assert (code, err.count("\n")) == (1, 1)
    assert str(Path("results", "embedded", "records")) in err


def test_results_that_were_removed_are_missed(delta_bench: Call, measured: Measured, results: Path) -> None:
    def remove(job: Job) -> list[Row]:
        shutil.rmtree(results)
        return rows_of(job)

    measured.instead["fc_only"] = remove
    code, _, err = delta_bench("run", *ONE_CELL)
    before = measured.ids.index(fc_only())
    assert (code, err.count("\n")) == (1, 1)
    assert f"{before} records of finished runs (first {min(measured.ids[:before])}) have gone from" in err
    measured.instead.clear()
    assert delta_bench("run", *ONE_CELL)[0] == 0
    assert recorded(results) == {*run_ids()}, "nobody needs the base any more"


@pytest.mark.usefixtures("measured")
def test_a_cache_that_holds_all_may_be_read_only(
    delta_bench: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / ".cache"
    monkeypatch.setattr(os, "access", lambda path, _: not Path(path).absolute().is_relative_to(cache))
    cache.mkdir()
    refused = delta_bench("run", *ONE_CELL)
    assert refused[0] == 2
    assert "Folder '.cache' cannot be written" in refused[2]
    monkeypatch.setattr("benchmarks.grid.plan.is_whole_base", lambda *_: True)
    monkeypatch.setattr("benchmarks.grid.pool.is_trained", lambda *_: True)
    assert delta_bench("run", *ONE_CELL)[0] == 0


@pytest.mark.usefixtures("measured")
def test_too_few_open_files_are_told_at_the_start(
    delta_bench: Call, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (40, 4096))
    code, _, err = delta_bench("run", *ONE_CELL, "--workers", "2")
    assert (code, err.count("\n")) == (2, 1)
    assert "open 40 files, and 2 worker(s) with 0 loader(s) each need 72; run `ulimit -n 72` first" in err
    assert not results.exists()


@pytest.mark.usefixtures("measured")
def test_what_killed_writers_left_is_swept(delta_bench: Call, results: Path) -> None:
    stale, fresh = (results / "records" / f".{name}.jsonl.0.tmp" for name in ("stale", "fresh"))
    stale.parent.mkdir(parents=True)
    stale.touch()
    fresh.touch()
    os.utime(stale, (0, 0))
    assert delta_bench("run", *ONE_CELL)[0] == 0
    assert fresh.exists(), "its writer may live"
    assert not stale.exists()


# --- the whole of it -------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are followed through /proc")
def test_ctrl_c_ends_a_grid_and_keeps_what_was_finished(tmp_path: Path) -> None:
    cache, results = tmp_path / "cache", tmp_path / "results" / "embedded"
    write_one_cell(cache)
    driver = subprocess.Popen(
        command("run", *ONE_CELL, "--results", results.parent, "--cache", cache, "--workers", 2),
        cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    assert wait_for(lambda: len(recorded(results)) >= 2 or driver.poll() is not None, LIMIT_S)
    started = descendants(driver.pid)
    for _ in range(2):  # who is impatient
        os.killpg(driver.pid, signal.SIGINT)
    _, err = driver.communicate(timeout=LIMIT_S)
    assert err == "python -m benchmarks: interrupted; finished runs are kept, start again to go on.\n"
    assert driver.returncode == 130
    assert wait_for(lambda: not any(map(alive, started)), 20), "nobody is left"
    assert 2 <= len(recorded(results)) < 1 + len(run_ids()), "in the middle"
    assert set(read_rows(results)["run_id"]) == recorded(results), "finished rows are in the table"
    assert not (results / "failed").exists(), "what was cut off did not fail"


def test_sigterm_keeps_a_run_in_its_middle_and_the_same_command_goes_on(tmp_path: Path) -> None:
    """All of it in processes of its own: the driver passes the signal on, and the worker finishes its step."""
    write_one_cell(tmp_path / "cache")
    chosen = (*ONE_CELL[:-1], "20", "--method", "norm_tuning", "--workers", "1", "--cache", "cache")
    environment = {**ENVIRONMENT, "PYTHONPATH": str(ROOT)}

    def measure(folder: str, *more: str) -> "subprocess.Popen[bytes]":
        arguments = command("run", *chosen, "--results", folder, *more)
        return subprocess.Popen(arguments, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL)

    whole = measure("whole")
    assert whole.wait(LIMIT_S) == 0
    interrupted = measure("cut", "--checkpoint-every-s", "0")
    unfinished = tmp_path / "cache" / "unfinished"
    assert wait_for(lambda: list(unfinished.glob("*/training.pt")), LIMIT_S)
    interrupted.send_signal(signal.SIGTERM)
    assert interrupted.wait(LIMIT_S) == 143
    (state,) = unfinished.glob("*/training.pt")
    assert 0 < torch.load(state, weights_only=True)["position"]["epoch"] < 20
    assert measure("cut").wait(LIMIT_S) == 0
    assert list(unfinished.iterdir()) == []
    names = ["run_id", "column", "split", "value", "backbone_sha_after", "steps"]
    rows = [read_rows(tmp_path / name / "embedded")[names] for name in ("whole", "cut")]
    assert rows[0].equals(rows[1])
