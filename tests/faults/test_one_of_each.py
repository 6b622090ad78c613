"""One trial of each fault of `nox -s faults`: no damage is seen."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.whole import UNLESS_NAMED

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are followed through /proc")
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", UNLESS_NAMED)
def test_no_damage_is_seen(kind: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """In a process of its own, which has one thread and can be forked; all of them share one undisturbed world."""
    scratch = tmp_path_factory.getbasetemp().parent / "faults"
    words = ("--trials", "1", "--kinds", kind, "--scratch", str(scratch), "--jobs", "1")
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults", *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
