"""Files that are whole or not there, alone and in pairs."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from uuid import uuid4


@contextmanager
def atomic_text(path: Path) -> Iterator[TextIOWrapper]:
    """Open a temporary sibling of `path` for writing and rename it over `path` on success; on error leave no trace."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{uuid4().hex}.tmp")  # not by tempfile, whose files nobody else may read
    try:
        with partial.open("x", encoding="utf-8", newline="") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def write_pair(first: Path, second: Path, texts: tuple[str, str]) -> None:
    """Replace two files of one folder by texts that belong together.

    Both texts are laid down under waiting names; then the first file takes its place, which is the moment the change
    counts from, and then the second. Killed between the two, the second is still found by `second_of`.
    """
    _settle(first, second)
    for path, text in zip((first, second), texts, strict=True):
        with atomic_text(_waiting(path)) as stream:
            stream.write(text)
    _waiting(first).replace(first)
    _waiting(second).replace(second)


def second_of(first: Path, second: Path) -> Path:
    """Where the text is that belongs to the first file of a pair: the second file, or that which waits to become it."""
    return _waiting(second) if _waiting(second).exists() and not _waiting(first).exists() else second


def _settle(first: Path, second: Path) -> None:
    """Finish what a killed process had begun: a change that counts is completed, another forgotten."""
    if _waiting(first).exists():
        _waiting(second).unlink(missing_ok=True)  # before the first: alone it would seem to count
        _waiting(first).unlink()
    elif _waiting(second).exists():
        _waiting(second).replace(second)


def _waiting(path: Path) -> Path:
    return path.with_name(f".{path.name}.waiting")
