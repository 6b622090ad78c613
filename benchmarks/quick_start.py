"""Imports of torch for a command line, in half the time."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quick_start() -> Iterator[None]:
    """Keep the garbage collector at rest while modules are imported, and what they brought out of its sight for good.

    torch's modules hold a million objects that live as long as the process; to walk them while more are imported, and
    once more at the end, takes as long as the imports themselves.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
