"""Jobs for workers that import nothing heavy: `start` is what `Workers` start with, a job the name of what happens."""

import os
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path


def start(device: str) -> Callable[[str], str]:
    return partial(do, device)


def start_badly(_: str) -> Callable[[str], str]:
    os._exit(7)


def start_slowly(note: Path, device: str) -> Callable[[str], str]:
    """Leaves its process id in a folder and imports for a minute, so to say."""
    (note / str(os.getpid())).touch()
    time.sleep(60)
    return start(device)


def do(device: str, job: str) -> str:
    if job.startswith("interrupt"):  # Ctrl-C is for the driver alone
        os.kill(os.getpid(), signal.SIGINT)
    if job.startswith("kill"):
        os.kill(os.getpid(), signal.SIGKILL)
    if job.startswith("segfault"):
        os.kill(os.getpid(), signal.SIGSEGV)
    if job.startswith("exit"):
        os._exit(0)
    if job.startswith("raise"):
        sys.exit(3)
    if job.startswith("hold"):
        len(b"1" * 15 * 10**8)
    if job.startswith("sleep"):
        Path(job.partition(" ")[2], str(os.getpid())).touch()
        time.sleep(60)
    return f"{job} on {device}"
