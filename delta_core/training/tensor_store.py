"""Tensors that are made once, kept on disk within a bound, and mapped into memory by every run that needs them.

    <root>/<data set>/<key>/features.bin    raw numbers, images first, channels last
                            meta.json       shape, type and what the key stands for
    <root>/.locks/                          empty files: who makes what

A store appears by renaming a finished folder, so one that is there is complete; one whose size is wrong is made again.
"""

import errno
import json
import math
import os
import shutil
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from delta_core.training.identity import content_id, plain
from delta_core.training.lock import locked

UNFINISHED = ".tmp"

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
            found = _mapped(folder)
            if found is None:
                with locked(self._lock_of(folder.name)):
                    found = _mapped(folder)  # made by another process in the meantime
                    if found is None and self._make(folder, key, count, dtype, make()):
                        found = _mapped(folder)
        except OSError as error:  # disk full, no locks on this file system: slower, never wrong
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
        partial = _unfinished(folder)
        with locked(self._lock_of("room")):
            shutil.rmtree(partial, ignore_errors=True)  # its maker was killed
            if not self._make_room(folder.parent, size):
                warnings.warn(
                    f"{size / 1e9:.1f} GB do not fit into the {self.limit_gb:g} GB below {str(self.root)!r}; they are "
                    "computed anew in every epoch.",
                    stacklevel=2,
                )
                return False
            partial.mkdir(parents=True)
            with (partial / "features.bin").open("wb") as stream:
                stream.truncate(size)  # counts from now on
        try:
            with (partial / "features.bin").open("r+b") as stream:
                for batch in chain([first], batches):
                    rows = batch.movedim(1, -1) if batch.ndim == 4 else batch
                    stream.write(rows.to("cpu", dtype).contiguous().view(torch.uint8).numpy().data)
                if stream.tell() != size:
                    raise ValueError(f"{stream.tell()} bytes of features were made, {size} expected.")
                stream.flush()
                os.fsync(stream.fileno())
            meta = {"shape": shape, "dtype": str(dtype).removeprefix("torch."), "key": plain(key)}
            (partial / "meta.json").write_text(json.dumps(meta, indent=1), encoding="utf-8")
            with locked(self._lock_of("room")):
                shutil.rmtree(folder, ignore_errors=True)  # damaged, or it would have been used
                partial.rename(folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
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


def _mapped(folder: Path) -> Tensor | None:
    """The tensor of a store, or None if it is not there, or not whole; notes that it was used."""
    try:
        meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
        shape, dtype = tuple(meta["shape"]), getattr(torch, meta["dtype"])
        count = math.prod(shape)
        if (folder / "features.bin").stat().st_size != count * dtype.itemsize:
            return None
        # Private: whatever a run does to its tensor never reaches the file.
        flat = torch.from_file(str(folder / "features.bin"), shared=False, size=count, dtype=dtype)
        os.utime(folder)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RuntimeError):
        return None
    if len(shape) != 4:
        return flat.view(shape)
    images, channels, height, width = shape
    return flat.view(images, height, width, channels).permute(0, 3, 1, 2)
