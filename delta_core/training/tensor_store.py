"""Tensors that are made once, kept on disk within a bound, and mapped into memory by every run that needs them.

    <root>/<data set>/<key>/features.bin    raw numbers, images first, channels last
                            meta.json       shape, type, what the key stands for, and the CRC-32 of it all
    <root>/.locks/                          who makes what

A store appears by renaming a finished folder, so one that is there is complete. Each process compares it with its
CRC-32 before the first use (at about 3.6 GB/s; a SHA-256 would take three times as long); a damaged one is made again.
"""

import errno
import json
import math
import os
import shutil
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from delta_core.training.identity import content_id, plain
from delta_core.training.lock import locked
from delta_core.training.whole_files import UNFINISHED, sync_folder, whole_text

CACHE_GB = 20.0
"""Room for all tensors if nothing is said, in 10^9 bytes."""


@dataclass(frozen=True, kw_only=True)
class TensorStore:
    """Stores below one folder, together at most `limit_gb` (10^9 bytes); 0 keeps nothing.

    Room is made store by store, from the data set whose last use is longest ago. Removing a store hurts no process
    that has it mapped: the file lives on until the last mapping goes, as on every POSIX system.
    """

    root: Path
    limit_gb: float

    def tensor(
        self, data_set: str, key: Any, count: int, dtype: torch.dtype, make: Callable[[], Iterator[Tensor]]
    ) -> Tensor | None:
        """The mapped tensor (N, ...) behind a key, made first if need be; None if it does not fit.

        Processes that want the same store at the same time wait for the first of them to make it.

        Args:
            data_set: folder that stores of the same data share.
            key: frozen dataclass that names everything the numbers depend on.
            count: N, rows of the tensor.
            dtype: type in which it is kept.
            make: starts the rows, in batches (B, ...) of any float type.
        """
        if self.limit_gb <= 0:
            return None
        folder = self.root / data_set / content_id(key)
        try:
            found = _mapped(folder, key, count, dtype)
            if found is None:
                with locked(self._lock_of(folder.name)):
                    found = _mapped(folder, key, count, dtype)  # made by another process in the meantime
                    if found is None:
                        if folder.exists():
                            warnings.warn(
                                f"Features in {str(folder)!r} are damaged or of an older version and are made again.",
                                stacklevel=2,
                            )
                        if self._make(folder, key, count, dtype, make()):
                            found = _mapped(folder, key, count, dtype)
        except OSError as error:  # disk full, nothing may be read or written there: slower, never wrong
            warnings.warn(f"Features are not kept ({error}); they are computed anew in every epoch.", stacklevel=2)
            return None
        return found

    def size_bytes(self) -> int:
        """Bytes of all stores together."""
        return sum(file.stat().st_size for store in self.root.glob("*/*") if store.is_dir() for file in store.iterdir())

    def prune(self) -> int:
        """Remove all stores but those that are being made; returns the bytes that were freed."""
        before = self.size_bytes()
        with locked(self._lock_of("room")):
            for store in self.root.glob("*/*"):
                if store.is_dir() and not self._is_being_made(store):
                    shutil.rmtree(store, ignore_errors=True)
        return before - self.size_bytes()

    def _make(self, folder: Path, key: Any, count: int, dtype: torch.dtype, batches: Iterator[Tensor]) -> bool:
        """Write a store, whose lock is held; False if it does not fit."""
        first = next(batches)
        shape = (count, *first.shape[1:])
        size = math.prod(shape) * dtype.itemsize
        unfinished = _unfinished(folder)
        with locked(self._lock_of("room")):
            shutil.rmtree(unfinished, ignore_errors=True)  # its maker was killed
            if not self._make_room(folder.parent, size):
                warnings.warn(
                    f"{size / 1e9:.1f} GB do not fit into the {self.limit_gb:g} GB below {str(self.root)!r}; they are "
                    "computed anew in every epoch.",
                    stacklevel=2,
                )
                return False
            unfinished.mkdir(parents=True)
            with (unfinished / "features.bin").open("wb") as stream:
                stream.truncate(size)  # counts from now on
        try:
            with (unfinished / "features.bin").open("r+b") as stream:
                checksum = 0
                for batch in chain([first], batches):
                    rows = batch.movedim(1, -1) if batch.ndim == 4 else batch
                    data = rows.to("cpu", dtype).contiguous().view(torch.uint8).numpy().data
                    checksum = zlib.crc32(data, checksum)
                    stream.write(data)
                if stream.tell() != size:
                    raise ValueError(f"{stream.tell()} bytes of features were made, {size} expected.")
                stream.flush()
                os.fsync(stream.fileno())
            meta = {"shape": shape, "dtype": _name_of(dtype), "key": plain(key)}
            with whole_text(unfinished / "meta.json") as text:
                json.dump(meta | {"crc32": _sealed(checksum, shape)}, text, indent=1)
            with locked(self._lock_of("room")):
                shutil.rmtree(folder, ignore_errors=True)  # damaged, or it would have been used
                unfinished.rename(folder)
                sync_folder(folder.parent)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
        return True

    def _make_room(self, data_set: Path, size: int) -> bool:
        """Remove stores until `size` bytes fit; False, with nothing removed, if they never will."""
        limit = self.limit_gb * 10**9
        if size > limit:
            return False
        used = {store: store.stat().st_mtime_ns for store in self.root.glob("*/*") if store.is_dir()}
        sizes = {store: sum(file.stat().st_size for file in store.iterdir()) for store in used}
        last = {
            store.parent: max(time for other, time in used.items() if other.parent == store.parent) for store in used
        }
        total = sum(sizes.values())
        # The data set at work goes last.
        for store in sorted(used, key=lambda store: (store.parent == data_set, last[store.parent], used[store])):
            if total + size <= limit:
                break
            if not self._is_being_made(store):
                shutil.rmtree(store, ignore_errors=True)
                total -= sizes[store]
        return total + size <= limit

    def _lock_of(self, name: str) -> Path:
        return self.root / ".locks" / name

    def _is_being_made(self, store: Path) -> bool:
        return store.name.endswith(UNFINISHED) and self._is_locked(store.stem.removeprefix("."))

    def _is_locked(self, name: str) -> bool:
        try:
            with locked(self._lock_of(name), wait=False):
                return False
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EAGAIN):
                raise
            return True


def _unfinished(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}{UNFINISHED}")


def _mapped(folder: Path, key: Any, count: int, dtype: torch.dtype) -> Tensor | None:
    """The tensor of a store, or None if it is not there, or not as it was made; notes that it was used.

    Raises:
        OSError: if it is there and may not be read.
    """
    data = folder / "features.bin"
    try:
        meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
        rows, *rest = meta["shape"]
        size = math.prod((rows, *rest))
        stat = data.stat()
        if (rows, meta["dtype"], meta["key"]) != (count, _name_of(dtype), plain(key)):
            return None
        if stat.st_size != size * dtype.itemsize:
            return None
        if _sealed(_crc32(data, stat.st_ino, stat.st_mtime_ns), (rows, *rest)) != meta["crc32"]:
            return None
    except (FileNotFoundError, NotADirectoryError, ValueError, TypeError, KeyError, AttributeError):
        return None
    # Private: whatever a run does to its tensor never reaches the file.
    flat = torch.from_file(str(data), shared=False, size=size, dtype=dtype)
    with suppress(OSError):  # a cache that may only be read
        os.utime(folder)
    if len(rest) != 3:
        return flat.view(rows, *rest)
    channels, height, width = rest
    return flat.view(rows, height, width, channels).permute(0, 3, 1, 2)


@cache
def _crc32(file: Path, inode: int, written_ns: int) -> int:  # noqa: ARG001 - they tell one content from another
    """CRC-32 of a file, computed once in a process as long as nobody replaces it."""
    checksum = 0
    with file.open("rb") as stream:
        for block in iter(partial(stream.read, 2**20), b""):
            checksum = zlib.crc32(block, checksum)
    return checksum


def _sealed(checksum: int, shape: tuple[int, ...]) -> int:
    """CRC-32 of numbers and their shape together."""
    return zlib.crc32(json.dumps(shape).encode(), checksum)


def _name_of(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
