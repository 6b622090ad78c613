"""docs/solar-cells.md on a tiny part of its cells: its script and its commands run one after the other."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "solar-cells.md").read_text(encoding="utf-8")


def test_the_story_runs_from_folder_to_gates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = re.search(r"python (docs/examples/\S+) cells", PAGE)
    assert script is not None
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    subprocess.run([sys.executable, str(ROOT / script[1]), "cells", "6"], check=True)
    commands = re.findall(r"^delta-patch ((?:.*\\\n)*.*)", PAGE, re.MULTILINE)
    assert [command.split()[0] for command in commands] == ["fit", "eval", "predict", "inspect"]
    said = ""
    for command in commands:
        words = command.replace("\\\n", "").split()
        words += ["--epochs", "1"] if words[0] == "fit" else []
        words = [
            next(Path("cells/test/defective").iterdir()).as_posix() if "cell0001" in word else word for word in words
        ]
        words = ["32" if word == "128" else word for word in words]
        done = subprocess.run([sys.executable, "-m", "delta_core.tool", *words], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        said += done.stdout
    assert "of 12 images) right, base net bit-identical" in said
    assert "logits bit-identical with and without the patch" in said
    assert Path("gates.png").stat().st_size > 1000
