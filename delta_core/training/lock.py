"""A lock between processes that is a file."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked(path: Path, flags: int = fcntl.LOCK_EX) -> Iterator[None]:
    """Hold the lock of that file, which stays behind empty; the system releases it if the process dies.

    Args:
        path: made if it is not there, and its folder too.
        flags: of `fcntl.flock`; with `LOCK_NB` a lock that another process holds is an OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as stream:
        fcntl.flock(stream, flags)
        yield
