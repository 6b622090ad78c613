"""Workers of a grid that are this process: what a test puts in place of a function counts there too."""

from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any


class InlineWorkers:
    """What `benchmarks.grid.workers.Workers` is, without a process."""

    def __init__(self, work: Callable[[Any], Any]) -> None:
        self._work = work
        self._queue: list[Any] = []

    slots = 1

    @property
    def pending(self) -> int:
        return len(self._queue)

    def places(self) -> list[Any]:
        return []

    def submit(self, job: Any) -> None:
        self._queue.append(job)

    def ended(self) -> Iterator[tuple[Any, Any]]:
        job = self._queue.pop(0)
        yield job, self._work(job)

    def __enter__(self) -> "InlineWorkers":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        pass
