"""Rows of several machines in one table: taken over, kept apart, refused."""

from pathlib import Path

import pytest
from fake_rows import one_row

from benchmarks.records.collected import collect, read_rows
from benchmarks.records.merge import merge
from benchmarks.records.record_files import write_record
from benchmarks.records.rows import Row
from delta_core.training.errors import UserError


def folder(path: Path, *runs: list[Row]) -> Path:
    for run in runs:
        write_record(path, run)
    return path


def test_new_runs_come_in_and_a_second_time_changes_nothing(tmp_path: Path) -> None:
    here = folder(tmp_path / "here", [one_row(run_id="a")])
    there = folder(tmp_path / "there", [one_row(run_id="b"), one_row(run_id="b", split="val", alpha=0.5)])
    third = folder(tmp_path / "third", [one_row(run_id="c")])
    collect(third)
    (third / "records" / "c.jsonl").unlink()  # rows alone do, too
    assert sorted(merge(here, "embedded", [there, third])["run_id"]) == ["a", "b", "b", "c"]
    first = [(here / name).read_bytes() for name in ("runs.csv", "values.csv")]
    merge(here, "embedded", [there, third])
    assert [(here / name).read_bytes() for name in ("runs.csv", "values.csv")] == first


def test_the_same_run_from_two_machines_counts_once(tmp_path: Path) -> None:
    here = folder(tmp_path / "here", [one_row(run_id="a", device="first")])
    there = folder(
        tmp_path / "there", [one_row(run_id="a", device="second"), one_row(run_id="a", device="second", split="val")]
    )
    frame = merge(here, "embedded", [there, there])
    assert frame["device"].tolist() == ["first"], "a run is taken whole, from where it is known first"


def test_contradictions_are_refused_with_both_sources(tmp_path: Path) -> None:
    here = folder(tmp_path / "here", [one_row(run_id="x")])
    one = folder(tmp_path / "one", [one_row(run_id="a", value=50.0)])
    other = folder(tmp_path / "other", [one_row(run_id="a", value=50.5)])
    with pytest.raises(UserError, match=r"Run a .* measured 50 in .*one and 50\.5 in .*other; delete"):
        merge(here, "embedded", [one, other])
    assert read_rows(here)["run_id"].tolist() == ["x"], "nothing came in"


def test_other_scales_and_empty_folders_are_refused(tmp_path: Path) -> None:
    paper = folder(tmp_path / "paper", [one_row(scale="paper")])
    with pytest.raises(UserError, match="holds rows of scale 'paper', and 'embedded' was asked for"):
        merge(tmp_path / "here", "embedded", [paper])
    with pytest.raises(UserError, match="holds neither"):
        merge(tmp_path / "here", "embedded", [tmp_path / "nothing"])


def test_rows_of_a_later_schema_version_are_refused_in_records_and_tables(tmp_path: Path) -> None:
    said = r"rows of schema version 3, and this checkout reads those up to 2; read it with the checkout that wrote it"
    newer = folder(tmp_path / "newer", [one_row(run_id="a", schema_version=3)])
    with pytest.raises(UserError, match=said):
        merge(tmp_path / "here", "embedded", [newer])
    here = folder(tmp_path / "here", [one_row(run_id="x")])
    collect(here)
    path = here / "runs.csv"
    path.write_text(path.read_text().removesuffix(",2\n") + ",3\n")
    with pytest.raises(UserError, match=said):
        read_rows(here)
    header, line, _ = path.read_text().split("\n")
    path.write_text(f"{header},purpose\n{line},a column that came later\n")
    with pytest.raises(UserError, match=said):
        read_rows(here)
