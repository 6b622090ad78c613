"""Folders that are replaced as a whole: the old one or the new one is there, whenever the process is killed.

What is unfinished lies in a hidden folder beside it, `.FOLDER.partial`, under a lock: the new folder as it is being
made (`new`), and for a moment, where the file system cannot exchange two folders at once, the old one (`old`).
"""

import ctypes
import errno
import os
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from delta_core.errors import DeltaError
from delta_core.training.lock import locked  # which needs nothing of the extra `train`
from delta_core.training.whole_files import sync_folder

LOCK = "lock"
"""Name of the lock in the hidden folder."""

CANNOT_EXCHANGE = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP)


@contextmanager
def only_writer(folder: Path, *, wait: bool = True) -> Iterator[Path]:
    """Keep other writers of a folder away; gives the hidden folder beside it, which goes again if it holds nothing.

    What a killed writer has left is put right before and after.

    Args:
        folder: resolved.
        wait: whether to wait for another writer, which is told of on stderr.

    Raises:
        BlockingIOError: if there is another writer and `wait` is False.
        DeltaError: if it cannot be told which of two folders is the right one.
        OSError: if nothing can be written there.
    """
    partial = _beside(folder)
    lock = partial / LOCK
    with locked(lock, wait=wait, waiting_for=str(folder)):
        try:
            _recover(folder)
            yield partial
        finally:
            _recover(folder)
            if partial.is_dir() and list(partial.iterdir()) == [lock]:
                lock.unlink()
                with suppress(OSError):  # the next writer is in it already
                    partial.rmdir()


def start_new(folder: Path) -> Path:
    """Make the empty folder that `put_in_place` will take. Only inside `only_writer`."""
    new = _beside(folder) / "new"
    new.mkdir()
    return new


def put_in_place(folder: Path, *, gone: Collection[str] = ()) -> None:
    """Let the folder of `start_new` take the place of `folder`; what else lies in that one is kept.

    Only inside `only_writer`.

    Args:
        folder: absent, or the old folder.
        gone: names in the old folder that would not be true of the new one.
    """
    new = _beside(folder) / "new"
    for path in new.iterdir():
        with path.open("rb") as stream:
            os.fsync(stream.fileno())
    if folder.exists() and any(folder.iterdir()):
        _keep_others(folder, new, gone)
        sync_folder(new)
        if not _exchanged(new, folder):
            folder.rename(_beside(folder) / "old")
            new.rename(folder)
    else:
        sync_folder(new)
        new.rename(folder)
    sync_folder(folder.parent)
    _recover(folder)


def interrupted(folder: Path) -> str:
    """Where a folder lies that is absent because its writer was killed at the worst moment, as a sentence; else empty.

    The next writer puts it back.
    """
    old = _beside(folder.absolute()) / "old"
    return f" It lies in {str(old)!r}, as it was being replaced; rename that." if _is_absent(folder, old) else ""


def _is_absent(folder: Path, old: Path) -> bool:
    return old.is_dir() and not folder.exists()


def _beside(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.partial")


def _recover(folder: Path) -> None:
    """Undo or end what was under way: nothing is ever removed that the folder does not hold."""
    new, old = _beside(folder) / "new", _beside(folder) / "old"
    if old.is_dir() and new.is_dir():  # between two renames
        if folder.exists():
            raise DeltaError(
                f"{str(folder)!r} is there, but so is {str(old)!r}, which it was before; remove one of them."
            )
        old.rename(folder)
    for left in (new, old):
        if left.is_dir():
            _remove(left)


def _remove(folder: Path) -> None:
    """Remove a folder, also what is below folders that forbid it."""
    for at, names, _ in os.walk(folder):
        for below in (Path(at) / name for name in names):
            if not below.is_symlink():
                below.chmod(0o700)
    shutil.rmtree(folder)


def _keep_others(folder: Path, new: Path, gone: Collection[str]) -> None:
    """Put what lies in a folder into another that does not have it: files by a second name, not by a copy."""
    shutil.copystat(folder, new)
    for entry in sorted(folder.iterdir()):
        if entry.name in gone or (new / entry.name).exists():
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.copytree(entry, new / entry.name, symlinks=True, copy_function=_link)
        else:
            _link(entry, new / entry.name)


def _link(source: str | os.PathLike[str], target: str | os.PathLike[str]) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:  # not on every file system, and not files of others
        shutil.copy2(source, target, follow_symlinks=False)


def _exchanged(one: Path, other: Path) -> bool:
    """Exchange two folders in one step; False where that cannot be."""
    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)  # Linux's
    if call is None:
        return False
    at_working_folder, exchange = -100, 2
    if call(at_working_folder, os.fsencode(one), at_working_folder, os.fsencode(other), exchange) == 0:
        return True
    code = ctypes.get_errno()
    if code in CANNOT_EXCHANGE:
        return False
    raise OSError(code, os.strerror(code), str(one), None, str(other))
