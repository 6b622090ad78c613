"""Rows of schema version 1, five runs of this project's own: read, reported and merged, never rewritten unasked."""

import json
import shutil
import sys
from pathlib import Path

import pandas as pd
import pytest
from fake_rows import one_row

from benchmarks.cli import main as bench
from benchmarks.records.collected import collect, is_of_version_1, read_rows
from benchmarks.records.merge import merge
from benchmarks.records.record_files import read_record, write_record
from delta_core.training.errors import UserError
from reports.cli import main as report

OLD = Path(__file__).parent / "version1"
RUNS = {"041a0c1d7c1f", "05c888a1b8a4", "221580cf6985", "e2844bd40f33"}
RECORDED = "4f1adaed1f21"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """Results of scale embedded as version 1 left them."""
    return Path(shutil.copytree(OLD, tmp_path / "results" / "embedded"))


def contents(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def values_as_written() -> pd.DataFrame:
    table = pd.read_csv(OLD / "runs.csv", dtype={"run_id": str}, keep_default_na=False, na_values={"alpha": [""]})
    record = pd.DataFrame(map(json.loads, (OLD / "records" / f"{RECORDED}.jsonl").read_text().splitlines()))
    both = pd.concat([table, record], ignore_index=True)
    return both.sort_values(["run_id", "variant", "column", "phase", "split", "alpha"], ignore_index=True)


def same_as_written(rows: pd.DataFrame) -> bool:
    names = ["run_id", "variant", "column", "phase", "split", "alpha", "metric", "value", "n_examples", "config"]
    rows = rows.sort_values(["run_id", "variant", "column", "phase", "split", "alpha"], ignore_index=True)
    written = values_as_written()[names].astype(rows[names].dtypes)
    return bool(rows[names].equals(written))


def test_table_and_records_are_read_value_by_value_and_left_alone(old: Path) -> None:
    before = contents(old)
    rows = read_rows(old)
    assert set(rows["run_id"]) == RUNS | {RECORDED}
    assert same_as_written(rows)
    assert rows.groupby("run_id")["eval_s"].nunique().max() == 1
    assert len(collect(old)) == len(rows)
    assert contents(old) == before


def test_a_new_run_beside_an_old_table_is_read_and_the_table_stays(old: Path) -> None:
    table = (old / "runs.csv").read_bytes()
    write_record(old, [one_row(run_id="new")])
    assert set(collect(old)["run_id"]) == RUNS | {RECORDED, "new"}
    assert (old / "runs.csv").read_bytes() == table
    assert not (old / "values.csv").exists()


def test_old_rows_are_reported(old: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    before = contents(old)
    folders = ("--results", str(old.parent), "--out", str(old.parent / "tables"))
    monkeypatch.setattr(sys, "argv", ["reports", "table2", *folders])
    report()
    assert "PAINT lr=0.001" in capsys.readouterr().out
    assert contents(old) == before


def test_collect_makes_two_tables_and_keeps_the_old_one(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table, rows = (old / "runs.csv").read_bytes(), read_rows(old)
    for _ in range(2):
        monkeypatch.setattr(sys, "argv", ["bench", "collect", "--scale", "embedded", "--results", str(old.parent)])
        with pytest.raises(SystemExit) as left:
            bench()
        assert left.value.code == 0
        assert not is_of_version_1(old)
        assert (old / "runs.v1.csv").read_bytes() == table
        assert read_rows(old).equals(rows)
        assert same_as_written(read_rows(old))


def test_another_table_that_was_kept_is_not_overwritten(old: Path) -> None:
    (old / "runs.v1.csv").write_text("kept before")
    before = contents(old)
    with pytest.raises(UserError, match=r"runs\.v1\.csv is there already"):
        merge(old, "embedded", [])
    assert contents(old) == before


@pytest.mark.parametrize("old_here", [True, False])
def test_old_and_new_are_merged_in_both_directions(old_here: bool, old: Path, tmp_path: Path) -> None:
    new = tmp_path / "new"
    write_record(new, [one_row(run_id="new")])
    shared = read_record(OLD / "records" / f"{RECORDED}.jsonl")
    write_record(new, shared)  # measured on both machines
    here, there = (old, new) if old_here else (new, old)
    before = contents(there)
    assert set(merge(here, "embedded", [there])["run_id"]) == RUNS | {RECORDED, "new"}
    assert contents(there) == before
    assert set(read_rows(here)["run_id"]) == RUNS | {RECORDED, "new"}
