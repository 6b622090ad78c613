"""Commands in forked children: nothing is imported again, so that a trial costs what the command does."""

import atexit
import multiprocessing.context
import multiprocessing.forkserver
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

Action = Callable[[], object]
"""What a child does; it may leave by SystemExit, as a command line does."""

LIMIT_S = 180.0
"""After which a command counts as hanging: the longest takes some seconds on an idle core."""
BEHIND_S = 60.0
"""In which the workers of a command that has ended must be gone, too."""
TRACE = "Traceback (most recent call last)"


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a command ended."""

    code: int
    """Exit code; negative: the signal that ended it."""
    out: str
    err: str
    seconds: float
    hung: bool
    """It did not end in its time and was killed."""
    left_behind: bool
    """Processes that it had started were still there."""


@dataclass(frozen=True, kw_only=True)
class Running:
    """A command that was started, in a process group of its own."""

    pid: int
    streams: tuple[Path, Path]
    started: float

    def signal(self, number: int, *, group: bool = False) -> None:
        """Send a signal to the command, or to it and all that it started."""
        with suppress(ProcessLookupError):
            (os.killpg if group else os.kill)(self.pid, number)

    def has_ended(self) -> bool:
        """Whether it is over; `wait` says how."""
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def wait(self, limit_s: float = LIMIT_S) -> Ended:
        """How it ends; killed, with all that it started, where it does not."""
        end, hung = time.monotonic() + limit_s, False
        while True:
            found, status = os.waitpid(self.pid, os.WNOHANG)
            if found:
                break
            if time.monotonic() > end:
                hung = True
                self.signal(signal.SIGKILL, group=True)
            time.sleep(0.005)
        seconds = time.monotonic() - self.started
        end = time.monotonic() + BEHIND_S
        while (left_behind := any(alive(group=self.pid))) and time.monotonic() < end:
            time.sleep(0.01)
        self.signal(signal.SIGKILL, group=True)
        out, err = (stream.read_text(encoding="utf-8", errors="replace") for stream in self.streams)
        code = os.waitstatus_to_exitcode(status)
        return Ended(code=code, out=out, err=err, seconds=seconds, hung=hung, left_behind=left_behind)


def alive(*, group: int | None = None, session: int | None = None) -> Iterator[int]:
    """Processes of a group or session that run."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with suppress(OSError):
            state, _, of_group, of_session = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
            if state != "Z" and (group in (None, int(of_group))) and (session in (None, int(of_session))):
                yield int(entry.name)


def start(action: Action, folder: Path, *, first: Action = lambda: None) -> Running:
    """Fork a child that acts in a folder; `first` is called in it before, to put a fault into its process."""
    # Beside the folder: a fault of its disk must not keep a command from being heard.
    aside = folder.with_name(f"{folder.name}.streams")
    aside.mkdir(exist_ok=True)
    number = len(list(aside.iterdir())) // 2
    streams = aside / f"{number}.out", aside / f"{number}.err"
    for stream in streams:
        stream.touch()
    sys.stdout.flush()
    sys.stderr.flush()
    started = time.monotonic()
    pid = os.fork()
    if pid == 0:
        act(action, folder, streams, first)
    with suppress(PermissionError, ProcessLookupError):  # as the child does, whoever is first
        os.setpgid(pid, pid)
    return Running(pid=pid, streams=streams, started=started)


def run(action: Action, folder: Path, *, first: Action = lambda: None, limit_s: float = LIMIT_S) -> Ended:
    """Act in a forked child to the end."""
    return start(action, folder, first=first).wait(limit_s)


def act(action: Action, folder: Path, streams: tuple[Path, Path], first: Action = lambda: None) -> None:
    """The life of a child that was forked; never returns."""
    code = 1
    try:
        os.setpgid(0, 0)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for number, stream in enumerate(streams, start=1):
            os.dup2(os.open(stream, os.O_WRONLY | os.O_APPEND), number)
        for name, number in (("stdout", 1), ("stderr", 2)):  # under pytest they lead elsewhere
            setattr(sys, name, os.fdopen(number, "w", buffering=1, closefd=False))
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})
        os.chdir(folder)
        # Workers are forked from the command, not from a server of its own. What differs is the start of their process
        # alone, which tests/faults/interrupts.py has as it is.
        contexts = multiprocessing.context._concrete_contexts
        contexts["spawn"] = contexts["forkserver"] = contexts["fork"]
        multiprocessing.forkserver.ensure_running = lambda: None
        first()
        action()
        code = 0
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else int(left.code is not None)
    except KeyboardInterrupt:
        traceback.print_exc()
        code = 130
    except BaseException:  # noqa: BLE001 - as the interpreter does
        traceback.print_exc()
    finally:
        with suppress(BaseException):  # the end of an interpreter
            threading._shutdown()
            atexit._run_exitfuncs()
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)
