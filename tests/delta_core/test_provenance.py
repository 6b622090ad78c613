"""Whether rows were measured by committed code."""

import subprocess
from pathlib import Path

from delta_core.training.provenance import state_of


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
