"""Commands of the suite for forked children, and what is said of one that has ended."""

import os
import sys
from pathlib import Path

from forked import TRACE, Action, Ended
from ray_nodes import WITH_TOKEN

from tests.faults.verdict import Verdict

ROOT = Path(__file__).parents[2]


def troubles(ended: Ended) -> Verdict:
    """Tracebacks and hangs."""
    hang = "did not end in time" if ended.hung else "left processes behind" if ended.left_behind else ""
    trace = TRACE in ended.out + ended.err
    last = (ended.err if TRACE in ended.err else ended.out).strip().splitlines()[-1:] if trace else []
    notes = [*([hang] if hang else []), *(f"traceback: {line[:200]}" for line in last)]
    return Verdict(traceback=int(trace), hang=int(bool(hang)), notes=tuple(notes))


def bench(*words: object) -> Action:
    """`python -m benchmarks`."""

    def act() -> None:
        from benchmarks.cli import main

        sys.argv = ["python -m benchmarks", *map(str, words)]
        main()

    return act


def render(*words: object) -> Action:
    """`python -m reports`."""

    def act() -> None:
        from reports.cli import main

        sys.argv = ["python -m reports", *map(str, words)]
        main()

    return act


def delta_patch(*words: object) -> Action:
    """`delta-patch`."""

    def act() -> None:
        from delta_core.tool.cli import main

        sys.argv = ["delta-patch", *map(str, words)]
        main()

    return act


def process(module: str, *words: object) -> Action:
    """`python -m MODULE` as a program of its own, which imports everything anew."""

    def act() -> None:
        environment = {**os.environ, **WITH_TOKEN, "PYTHONPATH": str(ROOT)}
        os.execve(sys.executable, [sys.executable, "-m", module, *map(str, words)], environment)

    return act
