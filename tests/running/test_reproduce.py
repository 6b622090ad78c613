"""`python -m benchmarks reproduce` on tiny data: silent when rows are right, loud when one is not."""

import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
from fake_rows import plain_run
from grid_world import write_one_cell

from benchmarks.cli import main
from benchmarks.grid.reproduce import Sample
from benchmarks.records.collected import read_rows, write_rows
from benchmarks.records.rows import to_frame
from delta_core.training.provenance import device_name, instruction_set

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


def test_rows_of_another_kind_of_cpu_are_not_compared_and_those_of_this_one_are_kept_beside_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "embedded"
    folder.mkdir()
    measured = to_frame([plain_run(seed=seed, patch=80.0)[0] for seed in range(2)])
    write_rows(folder, measured.assign(device="cpu x86_64 AVX9000 1 thread(s)"))
    before = (folder / "runs.csv").read_bytes()

    def repeat(recorded: pd.DataFrame, sample: Sample) -> pd.DataFrame:
        rows = recorded[recorded["seed"] == int(sample.salt)]
        return rows.assign(device=device_name(torch.device("cpu")), value=rows["value"] / 2)

    monkeypatch.setattr("benchmarks.grid.reproduce._repeat", repeat)
    command = ["reproduce", "--results", str(tmp_path), "--salt"]
    assert bench([*command, "0"], monkeypatch) == 2
    assert f"measured on CPUs with AVX9000, and this one has {instruction_set()}" in capsys.readouterr().err
    for seed in ("0", "0", "1"):
        assert bench([*command, seed, "--keep"], monkeypatch) == 0
    monkeypatch.setattr("benchmarks.grid.reproduce._repeat", lambda recorded, _: recorded)
    assert bench([*command, "0"], monkeypatch) == 0
    own = read_rows(folder / instruction_set().lower())
    assert sorted(own["seed"]) == [0, 1], "a run that is kept twice has one place"
    assert (folder / "runs.csv").read_bytes() == before, "what tables are made of stays as it is"

    write_rows(folder, pd.concat([measured.head(1).assign(seed=2, run_id="of old"), read_rows(folder)]))
    (folder / instruction_set().lower() / "runs.csv").unlink()
    assert bench([*command, "0"], monkeypatch) == 0, "rows that do not say which CPU are compared"
