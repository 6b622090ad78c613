"""Runs of Table 7 on a tiny cache, and the configs of both toolboxes."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from dense_world import COUNTS

from benchmarks.env import Env
from benchmarks.suites.dense import scenes
from benchmarks.suites.dense.spec import DenseRun, arms

ROOT = Path(__file__).parents[2]
OF_TABLE_7 = ("faster_rcnn_lite0", "faster_rcnn_r18", "faster_rcnn_r34", "deeplabv3_lite0", "deeplabv3_r50")
CONFIGS = sorted(path for path in ROOT.glob("*/configs/*.py") if not path.stem.endswith("_delta"))
NETS = ("resnet18", "resnet34", "resnet50")
"""Of the configs on drawn scenes."""


@contextmanager
def drawn_scenes(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Configs find the scenes and nets of a cache, as if a user had said so."""
    monkeypatch.setenv("DELTA_CACHE", str(cache))
    monkeypatch.setenv("DELTA_DATA", "scenes")
    monkeypatch.delenv("DELTA_HEADS", raising=False)
    monkeypatch.setattr(scenes, "COUNTS", COUNTS)  # a pass over the cache's eight images, not over all scenes
    yield
    torch.set_num_threads(1)  # mmengine chooses its own


def run(kind: str, arm: int = 1, **changes: Any) -> DenseRun:
    architecture = "resnet18" if kind == "detection" else "resnet50"
    given: dict[str, Any] = {
        "scale": "embedded", "architecture": architecture, "weights": "pretrain:x", "task": kind, "data": "v1",
        "method": arms(kind, "embedded")[arm], "heads": "narrow", "epochs": 4, "seed": 0,
    }  # fmt: skip
    return DenseRun(**given | changes)


def env_of(folder: Path, cache: Path) -> Env:
    return Env(results=folder, cache=cache)
