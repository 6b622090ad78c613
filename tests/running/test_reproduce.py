"""`python -m benchmarks reproduce` on tiny data: silent when rows are right, loud when one is not."""

import sys
from pathlib import Path

import pytest
from grid_world import write_one_cell

from benchmarks.cli import main
from benchmarks.records.collected import read_rows, write_rows

RUN = ["run", "table2", "--arch", "resnet18", "--task", "optdigits", "--method", "fc_only"]


def bench(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", ["python -m benchmarks", *arguments])
    with pytest.raises(SystemExit) as stop:
        main()
    return int(stop.value.code or 0)


def test_a_changed_value_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cache, results = tmp_path / "cache", tmp_path / "results"
    write_one_cell(cache)
    folders = ["--results", str(results), "--cache", str(cache)]
    assert bench(["reproduce", *folders], monkeypatch) == 2
    assert "has no rows" in capsys.readouterr().err
    assert bench([*RUN, *folders], monkeypatch) == 0
    folder = results / "embedded"
    recorded = [(folder / name).read_bytes() for name in ("runs.csv", "values.csv")]
    assert bench(["reproduce", *folders], monkeypatch) == 0
    assert "nothing differs" in capsys.readouterr().out
    assert [(folder / name).read_bytes() for name in ("runs.csv", "values.csv")] == recorded, (
        "what is on record stays as it is"
    )

    for record in (results / "embedded" / "records").iterdir():
        record.unlink()
    frame = read_rows(folder)
    changed = frame.index[(frame["suite"] == "patching") & (frame["phase"] == "after") & (frame["split"] == "test")][0]
    frame.loc[changed, "value"] = 0.0 if frame.loc[changed, "value"] else 100.0
    write_rows(folder, frame)
    assert bench(["reproduce", *folders], monkeypatch) == 1
    assert "1 values differ" in capsys.readouterr().out

    frame["run_id"] = frame["run_id"].where(frame["suite"] == "base", "of old")
    write_rows(folder, frame)
    assert bench(["reproduce", *folders], monkeypatch) == 2
    assert "first of old) are not among the runs of this checkout" in capsys.readouterr().err
