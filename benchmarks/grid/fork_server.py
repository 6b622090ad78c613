"""Processes that start in milliseconds: forked from one that has imported torch and all that measures a run.

It has imported and done nothing else: no thread runs in it, and no device was touched.
"""

import signal
import sys
from collections.abc import Sequence
from multiprocessing import forkserver, get_context
from multiprocessing.context import ForkServerContext, SpawnContext

from delta_core.training.interrupts import SIGNALS
from delta_core.training.process import keep_freed_memory

Context = ForkServerContext | SpawnContext

IMPORTED_ONCE = ("benchmarks.grid.end_with_parent", "benchmarks.grid.imported_once")
"""Modules; importing them is all that the server does before it forks."""


def process_context(*further: str) -> Context:
    """What starts processes that measure; the first call in a program starts the server, and does not wait for it.

    Args:
        further: modules that the server imports, too.

    Forking is safe where libraries start no threads when they are imported, which those of macOS do: there each process
    imports for itself.
    """
    if sys.platform != "linux":
        return get_context("spawn")
    context = get_context("forkserver")
    context.set_forkserver_preload([*IMPORTED_ONCE, *further])
    keep_freed_memory()
    # The server, and all that it forks, hear no signal until they say so: Ctrl-C is the driver's alone.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return context


def measures_here(words: Sequence[str]) -> bool:
    """Whether `python -m benchmarks run` with these words measures by processes of this machine, for all that they say.

    >>> measures_here(["table2", "--seeds", "3"]), measures_here(["table2", "--cluster=auto"])
    (True, False)
    """
    return not {word.partition("=")[0] for word in words} & {"--cluster", "--dry-run", "--help", "-h"}


def wait_until_ready(context: Context) -> None:
    """Return when the next process will start at once; an interrupt may come meanwhile, and leaves nothing behind.

    Raises:
        OSError, EOFError: if no process can be started.
    """
    first = context.Process(target=_nothing)
    first.start()
    first.join()


def end_server() -> None:
    """End this process's server and wait for it, so that what it and its processes took counts among the children."""
    forkserver._forkserver._stop()  # type: ignore[attr-defined]  # no public way: it ends with this process


def _nothing() -> None:
    pass
