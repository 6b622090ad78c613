"""Measure several things side by side, so that a busy machine burdens all of them alike."""

import multiprocessing
import time
from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

import torch

from delta_core.training.process import keep_freed_memory

T = TypeVar("T")
Name = TypeVar("Name", bound=Hashable)


def interleaved_seconds(runs: Mapping[Name, Callable[[], object]], repetitions: int) -> dict[Name, list[float]]:
    """Wall-clock seconds of each run in each repetition; one unmeasured round warms up first.

    Every repetition runs all of them, starting with another one each time.

    >>> sorted(interleaved_seconds({"a": lambda: None, "b": lambda: None}, 3))
    ['a', 'b']
    """
    names = list(runs)
    seconds: dict[Name, list[float]] = {name: [] for name in names}
    for run in runs.values():
        run()
    _finish()
    for repetition in range(repetitions):
        shift = repetition % len(names)
        for name in names[shift:] + names[:shift]:
            start = time.perf_counter()
            runs[name]()
            _finish()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def _finish() -> None:
    """Wait for what a GPU still has to do."""
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()


def in_fresh_process(function: Callable[..., T], *arguments: object) -> T:
    """Value of a function (importable by name) in a process that did nothing before, set up as the suite's workers."""
    keep_freed_memory()
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()
