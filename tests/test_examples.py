"""Every example of docs/examples runs as it stands and prints what it promises; README counts what there is."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from delta_core import list_backbones

ROOT = Path(__file__).parents[1]
PROMISED = {
    "fit_a_patch.py": "classes 0, 1, 2, 3, 4, 5, 6, 7, 8, 9",
    "new_method.py": "",
    "try_a_method.py": "convnext_tiny: 3,072 parameters without head",
    "new_block_type.py": "torch.Size([2, 5])",
    "patch_a_timm_model.py": "base logits bit-identical: True",
    "ten_tasks_one_backbone.py": "10 tasks in one pass",
    "watch_a_training.py": "losses of 21 steps, as many as were taken: True",
}


@pytest.mark.parametrize(("number", "name"), [(1, "fit_a_patch.py"), (2, "watch_a_training.py")])
def test_the_script_of_the_docs_is_the_example(number: int, name: str) -> None:
    page = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    lines = page.split("```python\n")[number].split("```")[0].strip().splitlines()
    example = (ROOT / "docs" / "examples" / name).read_text(encoding="utf-8")
    assert len(lines) <= 15
    assert [line for line in lines if line and line.strip() not in example] == []


@pytest.mark.parametrize("example", sorted((ROOT / "docs" / "examples").glob("*.py")), ids=lambda path: path.stem)
def test_example_runs_and_keeps_its_promise(example: Path, tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, str(example)], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=800
    )
    assert done.returncode == 0, done.stderr
    assert PROMISED[example.name] in done.stdout
    assert list(tmp_path.iterdir()) == [], "an example leaves nothing behind"


def test_the_readme_counts_the_backbones() -> None:
    assert f"Supported are {len(list_backbones())} nets" in (ROOT / "README.md").read_text(encoding="utf-8")
