"""The whole adapter study at a tiny size: search, final runs, the best for longer, the report."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import timm
import torch
from image_folders import write_folder
from inline_workers import InlineWorkers

from benchmarks.cli import main as benchmarks
from benchmarks.env import Env
from benchmarks.grid import pool
from benchmarks.grid.work import start_work
from benchmarks.records.collected import read_rows
from benchmarks.suites.patching import adapters, adapters_search
from benchmarks.suites.patching.searched import Searched
from benchmarks.worlds.recipes import Recipes
from reports.cli import main as reports

METHODS = ("fc_only", "lora", "delta_networks:maps", "finetune")
TASKS = ("pets", "birds")


all_methods = adapters_search.searched


def some(recipes: Recipes) -> list[Searched]:
    """A few methods at two of their configurations."""
    chosen = [each for each in all_methods(recipes) if each.name in METHODS]
    return [replace(each, configurations=each.configurations[:2]) for each in chosen]


def inline(env: Env, devices: list[str]) -> InlineWorkers:
    """Processes take seconds to start."""
    return InlineWorkers(start_work(env, devices[0]))


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Options of a study of a few methods on two folders of images, in an empty folder."""
    torch.save(timm.create_model("resnet10t").state_dict(), tmp_path / "net.pth")
    for task in TASKS:
        write_folder(tmp_path / "data" / task)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(adapters_search, "searched", some)
    monkeypatch.setattr(adapters, "searched", some)
    monkeypatch.setattr(pool, "_pool", inline)
    return [
        "--scale", "local", "--arch", "resnet10t", "--weights", "net.pth", "--data-root", "data",
        *(word for task in TASKS for word in ("--task", f"imagefolder:{task}")),
        "--image-size", "32", "--epochs", "1",
    ]  # fmt: skip


def test_search_final_runs_and_report(
    local: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(table: str, *more: str, code: int = 0) -> str:
        monkeypatch.setattr(sys, "argv", ["python -m benchmarks", "run", table, *local, *more])
        with pytest.raises(SystemExit) as ended:
            benchmarks()
        captured = capsys.readouterr()
        assert ended.value.code == code, captured.out
        return captured.out

    assert "4 of 4 methods on resnet10t wait for their search" in run("adapters", code=1)
    assert "16 runs at scale local: 0 done, 16 todo" in run("adapters_search", "--seeds", "2")
    assert "16 runs at scale local: 0 done, 16 todo" in run("adapters", "--seeds", "2")
    assert "16 runs at scale local: 16 done, 0 todo" in run("adapters", "--seeds", "2")
    assert "6 runs at scale local: 0 done, 6 todo" in run("adapters_long")
    assert "6 runs at scale local: 6 done, 0 todo" in run("adapters_best")

    rows = read_rows(Path("results") / "local")
    assert not rows["base_logits_equal"].eq(False).any()
    assert rows.groupby(["suite", "protocol"])["run_id"].nunique().to_dict() == {
        ("adapters", "px=32,views=1,epochs=1"): 16,
        ("adapters", "px=32,views=1,epochs=3"): 6,
        ("adapters_search", "px=32,views=1,epochs=1"): 16,
    }
    monkeypatch.setattr(sys, "argv", ["python -m reports", "adapters", "--scale", "local"])
    reports()
    written = Path("results") / "local" / "tables"
    text = (written / "adapters.md").read_text(encoding="utf-8")
    assert text.count("full fine-tuning |") == 2
    assert "rank" in text and "given up" in text and "kept" in text and "CHANGED" not in text
    assert (written / "adapters_ranks-resnet10t-px32-views1-epochs1.svg").exists()
