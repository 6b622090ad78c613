"""What a process is told at its start, and how much memory it took; without torch, half a gigabyte itself."""

import gc
import os
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

OF_TRAIN = (
    "PIL",
    "imagehash",
    "lightning_fabric",
    "matplotlib",
    "numpy",
    "pandas",
    "rich",
    "scipy",
    "torchmetrics",
    "tyro",
)
"""What the packages of the extra `train` are called when they are imported."""


def missing_extra() -> str | None:
    """What to install where a package of the extra `train` is missing, in a few words; None where none is.

    They are looked for, not tried: some are imported late, and an import may fail for reasons that no installing mends.
    """
    missing = next((name for name in OF_TRAIN if find_spec(name) is None), None)
    return missing and f"the package {missing} is missing; run: pip install 'delta-patching[train]'"


def peak_resident_mb() -> float:
    """Peak resident memory of this process in MiB, since its start or the last `restart_peak_resident`.

    Linux counts the parent's peak into `ru_maxrss` of a started process, so its own high-water mark is read there.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 2**10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def restart_peak_resident() -> None:
    """Let `peak_resident_mb` begin with what is resident now. Only Linux has a way to; elsewhere nothing happens."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # resets VmHWM alone: proc(5)


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


ALLOCATOR = {
    "MALLOC_MMAP_THRESHOLD_": str(32 * 2**20),
    "MALLOC_TRIM_THRESHOLD_": str(4 * 2**30),
    "MALLOC_TOP_PAD_": str(256 * 2**20),
}
"""glibc keeps freed memory instead of returning it after every layer; on CPU half of the time went into page faults
(tf_efficientnet_lite0 at 224 px: 36 instead of 19 images per CPU second). Without effect elsewhere."""


def has_allocator() -> bool:
    """Whether this process was started with `ALLOCATOR`, or what its user chose instead."""
    return all(name in os.environ for name in ALLOCATOR)


def keep_freed_memory() -> None:
    """Set `ALLOCATOR` for processes started from now on: the C library reads it at their start."""
    for name, value in ALLOCATOR.items():
        os.environ.setdefault(name, value)
