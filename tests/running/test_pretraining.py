"""What a pre-training leaves: rows that make one record."""

from pathlib import Path

import pytest
from test_run import write_tiny_task

from benchmarks.env import Env
from benchmarks.nets import pretraining
from benchmarks.records.record_files import write_record
from delta_core.training.provenance import provenance
from delta_core.training.recipe import Recipe


def test_rows_are_of_one_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tiny_task(tmp_path, "glyphs62", 62)
    seconds = iter(range(60))
    monkeypatch.setattr(
        pretraining,
        "provenance",
        lambda *where: provenance(*where) | {"measured_at": f"2000-01-01T00:00:{next(seconds):02}+00:00"},
    )
    spec = pretraining.BaseSpec(architecture="resnet18", recipe=Recipe(epochs=1))
    rows = pretraining.pretrain(spec, Env(results=tmp_path, cache=tmp_path))
    assert len(rows) > 1
    assert write_record(tmp_path, rows).is_file()
