"""Processes that do jobs, each with a pipe of its own: one that dies takes its job along, and no other.

This file stays light: where a worker imports for itself, it knows whom to end with before torch, which takes seconds.
"""

import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from benchmarks.grid.fork_server import Context, process_context, wait_until_ready
from delta_core.training.errors import MachineError
from delta_core.training.interrupts import SIGNALS

Job = TypeVar("Job")
Result = TypeVar("Result")

MOST_FALSE_STARTS = 3
"""Workers of one place that may die one after the other before any is ready."""
LOOK_S = 1.0
"""How often it is looked whether a worker lives whose pipe its own children may keep open."""
LEAVE_S = 5.0
"""Within which workers that have nothing to do any more have to end by themselves."""
SAVE_S = 20.0
"""Within which workers have to finish a step and write its state, when all is to end; Slurm gives 30 s (KillWait)."""


@dataclass(frozen=True)
class Died:
    """What came of a job whose worker ended in the middle of it."""

    how: str
    """E.g. "killed by SIGKILL"."""


@dataclass(kw_only=True)
class _Worker(Generic[Job]):
    process: BaseProcess
    pipe: Connection
    its_end: Connection
    device: str
    false_starts: int
    """Workers that died before this one, in its place, before they were ready."""
    ready: bool = False
    job: Job | None = None


class Workers(Generic[Job, Result]):
    """A pool that outlives its workers. Leaving it by an exception ends them: an interrupt lets them write their state.

    Whoever submits jobs takes what came of them from `ended`, until nothing is `pending`.
    """

    def __init__(self, start: Callable[[str], Callable[[Job], Result]], devices: list[str]) -> None:
        """Jobs are done by what `start` returns in a worker, which it calls with the worker's device.

        Args:
            start: as workers can import it; takes and returns what can be pickled.
            devices: one for each worker.
        """
        self._start_work = start
        self._devices = devices
        self._queue: deque[Job] = deque()
        self._workers: list[_Worker[Job]] = []
        self._context: Context | None = None

    @property
    def pending(self) -> int:
        """Jobs that have not ended."""
        return len(self._queue) + sum(worker.job is not None for worker in self._workers)

    @property
    def slots(self) -> int:
        """Jobs that are done at once."""
        return len(self._devices)

    @property
    def at_work(self) -> list[tuple[str, Job | None]]:
        """Workers by device, and what each is at."""
        return [(worker.device, worker.job) for worker in self._workers]

    def submit(self, job: Job) -> None:
        """Have a job done when a worker has time, in order."""
        self._queue.append(job)

    def ended(self) -> Iterator[tuple[Job, Result | Died]]:
        """Wait until something happens, and give the jobs that have ended meanwhile, which may be none.

        Raises:
            MachineError: if workers cannot be started.
        """
        self._start_missing()
        self._hand_out()
        wait([worker.pipe for worker in self._workers], timeout=LOOK_S)
        for place, worker in enumerate(self._workers):
            alive = worker.process.is_alive()  # before its pipe is looked into: of a dead one all is there
            if not worker.pipe.poll():
                if alive:
                    continue
                message: Any = NOTHING
            else:
                message = _received(worker.pipe)
            if message is NOTHING:
                died = self._replace(place)
                if worker.job is not None:
                    yield worker.job, died
            elif worker.job is None:  # its first word
                worker.ready = True
            else:
                job, worker.job = worker.job, None
                self._hand_out()
                yield job, message

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        started = [worker for worker in self._workers if worker.process.pid is not None]
        is_interrupted = kind is not None and issubclass(kind, KeyboardInterrupt)
        for worker in started:
            if is_interrupted:
                worker.process.terminate()
            elif kind is not None:
                worker.process.kill()
            worker.pipe.close()  # those that live take it as the end
        end = time.monotonic() + (SAVE_S if is_interrupted else LEAVE_S)
        for worker in started:
            worker.process.join(max(0.0, end - time.monotonic()))
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()

    def _hand_out(self) -> None:
        for worker in self._workers:
            if self._queue and worker.ready and worker.job is None:
                with suppress(OSError):  # it died while it had nothing to do
                    worker.pipe.send(self._queue[0])
                    worker.job = self._queue.popleft()

    def _start_missing(self) -> None:
        missing = self._devices[len(self._workers) :]
        if not missing:
            return
        if self._context is None:
            self._context = process_context()
            with _told_if_none_starts():
                wait_until_ready(self._context)
        for device in missing:
            self._workers.append(_new_worker(self._context, device))
            self._start(self._workers[-1])

    def _start(self, worker: _Worker[Job]) -> None:
        """Start a process with signals held back: none comes in between, and Ctrl-C is the driver's alone."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            with _told_if_none_starts():
                worker.process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        worker.its_end.close()
        with suppress(OSError):  # it died already
            worker.pipe.send((self._start_work, worker.device))

    def _replace(self, place: int) -> Died:
        """Start another worker in the place of one that died."""
        worker = self._workers[place]
        worker.process.join()
        worker.pipe.close()
        died = Died(how_it_ended(worker.process))
        false_starts = 0 if worker.ready else worker.false_starts + 1
        if false_starts == MOST_FALSE_STARTS:
            raise MachineError(f"Worker processes end before they are ready, the last one {died.how}.")
        assert self._context is not None
        self._workers[place] = _new_worker(self._context, worker.device, false_starts)
        self._start(self._workers[place])
        return died


@contextmanager
def _told_if_none_starts() -> Iterator[None]:
    try:
        yield
    except (OSError, EOFError) as error:
        why = getattr(error, "strerror", None) or "the process that starts them ended"
        raise MachineError(f"A worker process cannot be started ({why}); start again with fewer --workers.") from error


def _new_worker(context: Context, device: str, false_starts: int = 0) -> _Worker[Any]:
    pipe, its_end = context.Pipe()
    process = context.Process(target=_serve, args=(its_end,))
    return _Worker(process=process, pipe=pipe, its_end=its_end, device=device, false_starts=false_starts)


NOTHING = object()
"""Instead of a message that a worker never finished."""


def _received(pipe: Connection) -> Any:
    try:
        return pipe.recv()
    except (EOFError, OSError):
        return NOTHING


def how_it_ended(process: BaseProcess) -> str:
    """How a process ended, e.g. "killed by SIGKILL (out of memory?)"."""
    exit_code = process.exitcode
    if exit_code is None or exit_code >= 0:
        return f"ended by itself with exit code {exit_code}"
    name = signal.Signals(-exit_code).name
    return f"killed by {name}{' (out of memory?)' if name == 'SIGKILL' else ''}"


def _serve(pipe: Connection) -> None:
    """What a worker does: jobs, until the driver has no more or is gone. The driver ends it by SIGKILL."""
    answer_to_parent()
    start, device = pipe.recv()  # imports torch, where it was not there
    work = start(device)
    pipe.send("ready")
    while True:
        try:
            job = pipe.recv()
        except EOFError:
            return
        result = work(job)
        sys.stdout.flush()
        pipe.send(result)


def answer_to_parent() -> None:
    """This process hears SIGTERM alone, and must not outlive the one that started it, whatever it is doing."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    parent = parent_process()
    assert parent is not None

    def end() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=end, daemon=True).start()
