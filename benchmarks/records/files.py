"""Files that are whole or not there."""

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
