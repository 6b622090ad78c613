"""One trial of each fault of `nox -s faults`: no damage is seen."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are followed through /proc")
@pytest.mark.timeout(1800)
def test_no_damage_is_seen(tmp_path: Path) -> None:
    """In a process of its own, which has one thread and can be forked; all trials share one undisturbed world."""
    words = ("--trials", "1", "--scratch", str(tmp_path), "--jobs", "1")
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults", *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
