"""A lock between processes that is a file; it names who holds it."""

import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from pathlib import Path


@contextmanager
def locked(path: Path, *, wait: bool = True, waiting_for: str = "") -> Iterator[None]:
    """Hold the lock of that file, which stays behind; the system releases it if the process dies.

    Args:
        path: made if it is not there, and its folder too.
        wait: whether to wait for a lock that another process holds; else that is a BlockingIOError.
        waiting_for: what the lock is of, e.g. "the tables of a scale": a wait is told of on stderr then,
            with the process that has to end first.
    """
    while True:
        with _opened(path) as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not wait:
                    raise
                if waiting_for:
                    print(f"Waiting for {waiting_for}, held by {holder(path)}.", file=sys.stderr, flush=True)
                fcntl.flock(stream, fcntl.LOCK_EX)
            if not _is_at(stream, path):  # its folder was removed or exchanged meanwhile: this lock keeps nobody away
                continue
            stream.truncate(0)
            stream.write(f"process {os.getpid()} ({' '.join([Path(sys.argv[0]).name, *sys.argv[1:]])[:200]})")
            stream.flush()
            yield
            return


def holder(path: Path) -> str:
    """Who wrote itself into a lock file last, e.g. "process 4711 (delta-patch fit photos -o flowers)"."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip() or "another process"
    except OSError:
        return "another process"


def _opened(path: Path) -> TextIOWrapper:
    for _ in range(100):
        # Its folder may be removed by another one in this moment; where it never can be made, that is told below.
        with suppress(FileNotFoundError, FileExistsError):
            path.parent.mkdir(parents=True, exist_ok=True)
            return path.open("a+", encoding="utf-8")
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("a+", encoding="utf-8")


def _is_at(stream: TextIOWrapper, path: Path) -> bool:
    try:
        found = path.stat()
    except FileNotFoundError:
        return False
    held = os.fstat(stream.fileno())
    return (found.st_dev, found.st_ino) == (held.st_dev, held.st_ino)
