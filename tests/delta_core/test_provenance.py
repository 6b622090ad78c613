"""Whether rows were measured by committed code, and whose memory they report."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from devices import DEVICES

from delta_core.training.provenance import peak_mem_mb, restart_peak_mem, state_of

HELD_MB = 256


def test_changed_code_is_dirty_and_changed_results_are_not(tmp_path: Path) -> None:
    def git(*arguments: str) -> str:
        identity = ("-c", "user.name=a", "-c", "user.email=a@b.c")
        done = subprocess.run(["git", *identity, *arguments], cwd=tmp_path, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    code, rows = tmp_path / "benchmarks" / "code.py", tmp_path / "results" / "runs.csv"
    for file in (code, rows):
        file.parent.mkdir()
        file.write_text("1")
    assert state_of(code) == ("", False), "outside a repository"
    git("init")
    git("add", "-A")
    git("commit", "-m", "first")
    commit = git("rev-parse", "HEAD")
    assert state_of(code) == (commit, False)
    rows.write_text("2")
    installed = tmp_path / "venv" / "module.py"
    installed.parent.mkdir()
    installed.write_text("untracked")
    assert state_of(installed) == ("", False), "a package inside somebody's repository is none of its commits"
    assert state_of(code) == (commit, False)
    code.write_text("2")
    assert state_of(code) == (commit, True)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a process begin its peak anew")
@DEVICES
def test_a_peak_begins_anew(device: str) -> None:
    at = torch.device(device)
    torch.ones(HELD_MB * 2**18, device=at)
    before = peak_mem_mb(at)
    restart_peak_mem()
    begun = peak_mem_mb(at)
    assert begun < before - HELD_MB / 2
    torch.ones(HELD_MB * 2**18, device=at)
    assert peak_mem_mb(at) > begun + HELD_MB / 2
