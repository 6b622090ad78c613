"""Peak memory of a process; without torch, which takes half a gigabyte itself."""

import resource
import sys
from pathlib import Path


def peak_resident_mb() -> float:
    """Peak resident memory of this process in MiB.

    Linux counts the parent's peak into `ru_maxrss` of a started process, so its own high-water mark is read there.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 2**10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10
