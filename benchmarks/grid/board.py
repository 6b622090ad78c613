"""What a grid is at, for whoever asks on the machine of its driver: nodes, what each does, the queue, hours to go.

A driver keeps one file below results/SCALE/.drivers and holds a lock on another one beside it while it lives.
"""

import json
import os
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pandas as pd

from benchmarks.grid.past import seconds_of
from benchmarks.nets.pretraining import BaseSpec
from benchmarks.spec import Run, describe
from delta_core.training.lock import locked
from delta_core.training.whole_files import sweep_unfinished, whole_text

EVERY_S = 2.0
"""How often the file is written."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where jobs are done: a worker of this machine, or a node of a cluster."""

    name: str
    slots: int
    """Jobs at once."""
    jobs: tuple[str, ...] = ()
    """What it is at, in the words of tables."""
    left_out: str = ""
    """Why it gets no jobs."""


def named(job: str | BaseSpec | Run) -> str:
    """A job in the words of tables."""
    if isinstance(job, str):
        return f"drawing {job}"
    return f"pre-training {job.architecture} on {job.task}" if isinstance(job, BaseSpec) else describe(job)


class Board:
    """What one driver tells of itself.

    Args:
        results: folder of the scale.
        title: of what is measured, e.g. the table.
        todo: runs that are to do.
        rows: on record, which tell how long such runs take.
    """

    def __init__(self, results: Path, title: str, todo: Sequence[Run], rows: pd.DataFrame) -> None:
        self._path = _folder(results) / f"{socket.gethostname()}-{os.getpid()}.json"
        self._title = title
        self._began = time.time()
        self._written = -EVERY_S
        self._left = seconds_of(todo, rows)
        self._total = len(todo)
        self._held = ExitStack()

    def __enter__(self) -> Self:
        self._held.enter_context(locked(self._path.with_suffix(".lock")))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._path.unlink(missing_ok=True)
        self._path.with_suffix(".lock").unlink(missing_ok=True)
        self._held.close()

    def ended(self, run_id: str) -> None:
        """A run is done, or failed."""
        self._left.pop(run_id, None)

    def write(self, places: Callable[[], Sequence[Place]], *, pending: int, slots: int) -> None:
        """Tell where jobs are done, if that was not told just now.

        Args:
            places: looks up what each is at.
            pending: jobs that have not ended.
            slots: jobs that are done at once, in all places.
        """
        if time.monotonic() - self._written < EVERY_S:
            return
        self._written = time.monotonic()
        known = [seconds for seconds in self._left.values() if seconds is not None]
        found = places()
        at_work = sum(len(place.jobs) for place in found)
        with suppress(OSError), whole_text(self._path) as stream:  # the rows tell of a full disk
            json.dump(
                {
                    "title": self._title,
                    "began": self._began,
                    "runs": self._total,
                    "ended": self._total - len(self._left),
                    "queued": max(0, pending - at_work),
                    "hours_to_go": sum(known) / 3600 / slots if slots else None,
                    "unknown": len(self._left) - len(known),
                    "places": [asdict(place) for place in found],
                },
                stream,
            )


def told_of_drivers(results: Path) -> Iterator[str]:
    """Lines on the drivers that are at work in a results folder; what dead ones left is removed."""
    for path in sorted(_folder(results).glob("*.json")):
        lock = path.with_suffix(".lock")
        try:
            with locked(lock, wait=False):
                sweep_unfinished(path.parent, of=path.name, older_than_s=0)  # nobody holds it
                path.unlink(missing_ok=True)
                lock.unlink(missing_ok=True)
        except BlockingIOError:
            yield from _told(json.loads(path.read_text(encoding="utf-8")))


def _told(found: dict[str, Any]) -> Iterator[str]:
    since = time.strftime("%H:%M", time.localtime(found["began"]))
    hours, unknown = found["hours_to_go"], found["unknown"]
    to_go = "nobody at work" if hours is None else f"{hours:.2f} hours to go"
    if unknown:
        to_go += f", and {unknown} runs of which nothing is known"
    yield (
        f"{found['title']}, at work since {since}: {found['ended']} of {found['runs']} runs ended, "
        f"{found['queued']} jobs queued, {to_go}"
    )
    for place in found["places"]:
        if place["left_out"]:
            yield f"  {place['name']} is left out: {place['left_out']}"
        else:
            yield f"  {place['name']}, {place['slots']} at a time: {'; '.join(place['jobs']) or 'idle'}"


def _folder(results: Path) -> Path:
    return results / ".drivers"
