"""Rows of several machines in one table: taken over, kept apart, refused."""

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fake_rows import one_row

from benchmarks.records.closing_line import closed
from benchmarks.records.collected import collect, read_rows
from benchmarks.records.forget import forget
from benchmarks.records.merge import merge
from benchmarks.records.record_files import record_path, write_record
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


def test_merges_at_once_lose_no_rows(tmp_path: Path) -> None:
    here = tmp_path / "here"
    sources = [folder(tmp_path / f"source{n}", [one_row(run_id=f"run{n}", seed=n)]) for n in range(20)]
    with ThreadPoolExecutor(len(sources)) as pool:
        list(pool.map(lambda source: merge(here, "embedded", [source]), sources))
    assert set(read_rows(here)["run_id"]) == {f"run{n}" for n in range(20)}


def test_collecting_forgetting_and_merging_at_once_keep_what_each_did(tmp_path: Path) -> None:
    here = folder(tmp_path / "here", *([one_row(run_id=f"old{n}", seed=n)] for n in range(6)))
    collect(here)
    sources = [folder(tmp_path / f"source{n}", [one_row(run_id=f"new{n}", seed=n)]) for n in range(6)]

    def change(n: int) -> None:
        forget(here, [f"old{n}"])
        merge(here, "embedded", [sources[n]])
        collect(here)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(change, range(6)))
    assert set(read_rows(here)["run_id"]) == {f"new{n}" for n in range(6)}


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
    said = r"rows of schema version 4, and this checkout reads those up to 3; read it with the checkout that wrote it"
    newer = folder(tmp_path / "newer", [one_row(run_id="a")])
    record = record_path(newer, "a")
    run, *values, _ = record.read_text().splitlines()
    record.write_text(closed([run.replace('"schema_version": 3', '"schema_version": 4'), *values]))
    with pytest.raises(UserError, match=said):
        merge(tmp_path / "here", "embedded", [newer])
    here = folder(tmp_path / "here", [one_row(run_id="x")])
    collect(here)
    path = here / "runs.csv"
    path.write_text(re.sub(r",3,(\w+)\n$", r",4,\1\n", path.read_text()))
    with pytest.raises(UserError, match=said):
        read_rows(here)
    header, line, _ = path.read_text().split("\n")
    path.write_text(f"{header},purpose\n{line},a column that came later\n")
    with pytest.raises(UserError, match=said):
        read_rows(here)


def test_a_source_that_is_no_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "net.pt").write_bytes(b"junk")
    for name, told in (("net.pt", "is a file"), ("nowhere", "holds neither")):
        with pytest.raises(UserError, match=f"{name}.*{told}.*give a results folder"):
            merge(tmp_path / "ours", "embedded", [tmp_path / name])
