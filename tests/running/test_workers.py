"""Workers of a grid: one that dies takes its job along and no other, an interrupt and a dead driver leave none."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import light_jobs
import pytest
import torch
from forked import alive

from benchmarks.grid.fork_server import process_context
from benchmarks.grid.workers import Died, Workers
from delta_core.training.errors import MachineError

ROOT = Path(__file__).parents[2]
SUPPORT = Path(light_jobs.__file__).parent


def all_ended(jobs: list[str], devices: list[str], start: Callable = light_jobs.start) -> dict[str, str | Died]:
    with Workers(start, devices) as workers:
        for job in jobs:
            workers.submit(job)
        came_of: dict[str, str | Died] = {}
        while workers.pending:
            for job, result in workers.ended():
                assert job not in came_of, "once"
                came_of[job] = result
    return came_of


def test_jobs_are_done_on_all_devices() -> None:
    jobs = [f"job {index}" for index in range(40)]
    came_of = all_ended(jobs, ["cuda:0", "cuda:1"])
    assert {job: result.partition(" on ")[0] for job, result in came_of.items()} == {job: job for job in jobs}
    assert {result.partition(" on ")[2] for result in came_of.values()} <= {"cuda:0", "cuda:1"}


def test_a_worker_that_dies_takes_its_job_along_and_no_other() -> None:
    deadly = {
        "kill": "killed by SIGKILL (out of memory?)",
        "segfault": "killed by SIGSEGV",
        "exit": "ended by itself with exit code 0",
        "raise": "ended by itself with exit code 3",
    }
    jobs = ["a", "kill", "b", "interrupt", "segfault", "exit", "d", "raise", "e"]
    came_of = all_ended(jobs, ["cpu", "cpu"])
    assert {job: result.how for job, result in came_of.items() if isinstance(result, Died)} == deadly
    assert {job for job, result in came_of.items() if result == f"{job} on cpu"} == {*"abde", "interrupt"}


def test_workers_that_cannot_start_end_the_grid() -> None:
    with pytest.raises(MachineError, match="end before they are ready, the last one ended by itself with exit code 7"):
        all_ended(["a"], ["cpu"], light_jobs.start_badly)


def test_no_process_to_be_had_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr("multiprocessing.process.BaseProcess.start", refuse)
    with pytest.raises(MachineError, match=r"cannot be started \(Resource temporarily unavailable\); start again with"):
        all_ended(["a"], ["cpu"])


def look_around(pipe: Connection) -> None:
    threads = len(list(Path(f"/proc/{os.getppid()}/task").iterdir()))
    pipe.send((threads, "benchmarks.suites.patching.runner" in sys.modules, torch.cuda.is_initialized()))


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is no server")
def test_the_server_has_imported_and_done_nothing_else() -> None:
    """A process that is forked while other threads run may wait for what they hold; CUDA cannot be forked."""
    context = process_context()
    here, there = context.Pipe()
    process = context.Process(target=look_around, args=(there,))
    process.start()
    assert here.recv() == (1, True, False)
    process.join()


# --- a driver that is a process of its own ---------------------------------------------------------------------------


def driver(code: str) -> "subprocess.Popen[str]":
    """In a process group of its own, as a terminal's Ctrl-C finds it."""
    head = """
        import sys
        import time
        from functools import partial
        from pathlib import Path
        import light_jobs
        from benchmarks.grid import fork_server, workers as grid
        from benchmarks.grid.workers import Workers
        from delta_core.training.command_line import told_in_one_sentence
        fork_server.IMPORTED_ONCE = ()  # light jobs need nothing
    """
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(head) + textwrap.dedent(code)],
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{SUPPORT}"},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def wait_for(condition: Callable[[], object], limit_s: float = 60) -> bool:
    end = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def lives(pid: int) -> bool:
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def working(folder: Path, processes: int) -> list[int]:
    """Ids of workers, which leave them in a folder, as soon as there are so many."""
    assert wait_for(lambda: len(list(folder.iterdir())) == processes)
    return [int(path.name) for path in folder.iterdir()]


ASLEEP = """
grid.LEAVE_S = 1000
with told_in_one_sentence("tool", interrupted="kept."), Workers(light_jobs.start, ["cpu", "cpu"]) as workers:
    for _ in range(20):
        workers.submit("sleep {folder}")
    while workers.pending:
        list(workers.ended())
"""
IMPORTING = """
with Workers(partial(light_jobs.start_slowly, Path("{folder}")), ["cpu", "cpu"]) as workers:
    workers.submit("a")
    while workers.pending:
        list(workers.ended())
"""


@pytest.mark.parametrize("signals", [(signal.SIGINT,), (signal.SIGTERM,), (signal.SIGINT, signal.SIGINT)], ids=str)
@pytest.mark.parametrize("whole_group", [True, False], ids=["group", "driver alone"])
def test_a_signal_ends_driver_and_workers(signals: tuple[int, ...], whole_group: bool, tmp_path: Path) -> None:
    started = driver(ASLEEP.format(folder=tmp_path))
    workers = working(tmp_path, 2)
    for number in signals:
        (os.killpg if whole_group else os.kill)(started.pid, number)
    _, told = started.communicate(timeout=50)  # the jobs would sleep for minutes
    assert (started.returncode, told) == (128 + signals[0], "tool: interrupted; kept.\n")
    assert not any(map(lives, workers))


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are followed through /proc")
@pytest.mark.parametrize("at", [ASLEEP, IMPORTING], ids=["at work", "importing"])
def test_a_killed_driver_leaves_no_worker(at: str, tmp_path: Path) -> None:
    started = driver(at.format(folder=tmp_path))
    workers = working(tmp_path, 2)
    started.kill()
    _, told = started.communicate(timeout=50)
    assert told == ""
    assert wait_for(lambda: not any(map(lives, workers)), 20)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is no server")
def test_a_killed_driver_leaves_no_server_that_still_imports() -> None:
    started = driver("""
        fork_server.IMPORTED_ONCE = ("benchmarks.grid.end_with_parent", "slow_import")
        fork_server.process_context()
        time.sleep(100)
    """)
    assert started.stdout is not None and started.stdout.readline() == "importing\n"
    assert len(list(alive(session=started.pid))) == 3, "driver, server, tracker of resources"
    started.kill()
    started.communicate(timeout=50)
    assert wait_for(lambda: not list(alive(session=started.pid)), 20)
