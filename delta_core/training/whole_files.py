"""Files that are whole or not there, also after a kill or a power cut."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from glob import escape
from io import TextIOWrapper
from pathlib import Path
from uuid import uuid4

UNFINISHED = ".tmp"
"""How the name of a file ends that is being written."""

STALE_S = 3600.0
"""After which a file that is being written is one whose writer was killed: nothing here is written for so long."""


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a temporary sibling of `path` to write to, and rename it over `path` on success; on error leave no trace.

    The file and its name have reached the disk when this returns.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{uuid4().hex}{UNFINISHED}")  # not by tempfile: others may read results
    try:
        yield partial
        with partial.open("rb") as stream:
            os.fsync(stream.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file, as a whole or not at all."""
    with whole_file(path) as partial:
        partial.write_bytes(content)


@contextmanager
def whole_text(path: Path) -> Iterator[TextIOWrapper]:
    """Open `whole_file` for text."""
    with whole_file(path) as partial, partial.open("x", encoding="utf-8", newline="") as stream:
        yield stream


def sync_folder(folder: Path) -> None:
    """Make names in a folder, as they are now, survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sweep_unfinished(folder: Path, *, of: str = "", older_than_s: float = STALE_S) -> None:
    """Remove what killed writers left in a folder: files that were being written, and are no more.

    Args:
        folder: one of ours; in any other folder such names may be somebody's files.
        of: name of the one file whose writers are meant, where the folder is not ours.
        older_than_s: since the last write; 0 where its lock tells that no writer lives.
    """
    for left in folder.glob(f".{escape(of)}*{UNFINISHED}"):
        try:
            if left.is_file() and time.time() - left.stat().st_mtime >= older_than_s:
                left.unlink()
        except FileNotFoundError:  # its writer has just finished
            continue
