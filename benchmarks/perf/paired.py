"""Measure several things side by side, so that a busy machine burdens all of them alike."""

import multiprocessing
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor


def interleaved_seconds(runs: Mapping[str, Callable[[], object]], repetitions: int) -> dict[str, list[float]]:
    """Wall-clock seconds of each run in each repetition; one unmeasured round warms up first.

    Every repetition runs all of them, starting with another one each time.

    >>> sorted(interleaved_seconds({"a": lambda: None, "b": lambda: None}, 3))
    ['a', 'b']
    """
    names = list(runs)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for run in runs.values():
        run()
    for repetition in range(repetitions):
        shift = repetition % len(names)
        for name in names[shift:] + names[:shift]:
            start = time.perf_counter()
            runs[name]()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def in_fresh_process(function: Callable[..., float], *arguments: object) -> float:
    """Value of a function (importable by name) in a process that did nothing before."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()
