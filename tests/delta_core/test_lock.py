"""Locks between processes: one holder, a wait that names it, and a folder that goes away meanwhile."""

import shutil
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from delta_core.training.lock import holder, locked

HOLD = """
import sys, time
from pathlib import Path
from delta_core.training.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def other(tmp_path: Path):
    """A process that holds the lock until it is told to let go."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "lock")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout and process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def test_a_held_lock_is_refused_or_waited_for_by_name(tmp_path: Path, other, capsys):
    with pytest.raises(BlockingIOError), locked(tmp_path / "lock", wait=False):
        pass
    assert f"process {other.pid} " in holder(tmp_path / "lock")
    threading.Timer(0.2, lambda: other.communicate("\n")).start()
    with locked(tmp_path / "lock", waiting_for="the tables"):
        assert other.poll() is not None or other.wait(5) == 0
    assert capsys.readouterr().err == f"Waiting for the tables, held by process {other.pid} (-c {tmp_path / 'lock'}).\n"


def test_a_killed_holder_lets_go(tmp_path: Path, other):
    other.kill()
    other.wait()
    with locked(tmp_path / "lock", wait=False):
        assert "process" in holder(tmp_path / "lock")


def test_a_lock_whose_folder_was_removed_keeps_nobody_away_and_is_taken_anew(tmp_path: Path):
    folder, entered = tmp_path / "partial", threading.Event()
    inside: list[bool] = []

    def wait_for_it() -> None:
        with locked(folder / "lock"):
            inside.append((folder / "lock").exists())
            entered.set()

    with locked(folder / "lock"):
        waiter = threading.Thread(target=wait_for_it, daemon=True)
        waiter.start()
        assert not entered.wait(0.2)
        shutil.rmtree(folder)
    assert entered.wait(5)
    assert inside == [True]


def test_many_take_a_lock_whose_folder_comes_and_goes(tmp_path: Path):
    """As folders of what is unfinished do, which go with their last file."""
    lock, failed = tmp_path / "partial" / "lock", []

    def take() -> None:
        try:
            for _ in range(100):
                with locked(lock):
                    lock.unlink()
                    with suppress(OSError):
                        lock.parent.rmdir()
        except OSError as error:
            failed.append(error)

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []


@pytest.mark.timeout(20)
def test_a_lock_that_cannot_be_made_is_told_of(tmp_path: Path):
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/nowhere")):
        with pytest.raises(OSError), locked(folder / "lock"):
            pass
