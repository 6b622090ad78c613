"""Where a number came from: commit, versions, device, memory."""

import json
import platform
import subprocess
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from delta_core.training.process import peak_resident_mb, restart_peak_resident

PACKAGES = ("torch", "torchvision", "timm", "numpy", "pillow", "lightning-fabric")


@cache
def git_state() -> tuple[str, bool]:
    """Commit of this source tree and whether tracked files but results differ from it.

    Blank for an installed package, even one that lies inside somebody's repository.
    """
    return state_of(Path(__file__))


def state_of(file: Path) -> tuple[str, bool]:
    """`git_state` of the repository that tracks a file."""

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments], cwd=file.parent, capture_output=True, text=True, check=True, timeout=30
        ).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", file.name)
        changed = git("status", "--porcelain", "--untracked-files=no", "--", ":/", ":(top,exclude)results")
        return git("rev-parse", "HEAD"), bool(changed)
    except (OSError, subprocess.SubprocessError):
        return "", False


@cache
def versions() -> str:
    """Python and package versions as JSON."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        if known := version_of(package):
            found[package] = known
    return json.dumps(found, sort_keys=True)


def version_of(package: str) -> str:
    """Version of an installed package, as pip calls it; blank if it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def instruction_set() -> str:
    """The vector instructions that torch computes with on this CPU, e.g. `AVX2`, `AVX512`, `SVE256`, `DEFAULT`.

    They decide in which order sums are taken, so CPUs with different ones do not compute the same bits.
    """
    return torch.backends.cpu.get_cpu_capability()


def device_name(device: torch.device) -> str:
    """Human-readable device, e.g. `cpu x86_64 AVX2 1 thread(s)` or the name of the GPU."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type} {platform.machine()} {instruction_set()} {torch.get_num_threads()} thread(s)"


def peak_mem_mb(device: torch.device) -> float:
    """Peak memory in MiB since the last `restart_peak_mem`: allocated on CUDA, else resident set of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return peak_resident_mb()


def restart_peak_mem() -> None:
    """Let `peak_mem_mb` begin anew: a process that measures one run after another would report the largest so far."""
    if torch.cuda.is_initialized():
        for number in range(torch.cuda.device_count()):
            torch.cuda.reset_peak_memory_stats(number)
    restart_peak_resident()


def provenance(device: torch.device, precision: str, *, world_size: int = 1) -> dict[str, Any]:
    """The provenance columns of a row, filled at the end of a run in this process.

    Of several processes that shared the run, device and memory are those of the first.
    """
    git_sha, git_dirty = git_state()
    return {
        "git_sha": git_sha,
        "git_dirty": git_dirty,
        "versions": versions(),
        "device": device_name(device),
        "precision": precision,
        "deterministic": device.type == "cpu",
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "peak_mem_mb": peak_mem_mb(device),
        "world_size": world_size,
    }
