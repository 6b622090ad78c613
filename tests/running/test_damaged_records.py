"""Records and result tables that something changed: refused by name or set aside, never read as measured."""

import errno
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from fake_rows import one_row
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.records.collected import collect, read_rows, rows_so_far, write_rows
from benchmarks.records.gates import collect_gates
from benchmarks.records.merge import merge
from benchmarks.records.record_files import damage_of, is_whole, read_record, record_path, write_record
from benchmarks.records.rows import Row, to_frame
from delta_core.training.errors import UserError

ROWS = [one_row(), one_row(split="val", value=49.5), one_row(column="digits", alpha=0.1, value=88.125)]
OTHER = [replace(row, run_id="other", seed=1) for row in ROWS]


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Two runs, recorded and collected."""
    for rows in (ROWS, OTHER):
        write_record(tmp_path, rows)
    collect(tmp_path)
    return tmp_path


def damaged(text: str) -> Iterator[str]:
    """An empty record, one cut by a line, in a line, of its closing line, and with a digit changed."""
    lines = text.splitlines(keepends=True)
    yield ""
    yield "".join(lines[:-1])
    yield "".join((*lines[:-2], lines[-1]))
    yield "".join((*lines[:-1], lines[-2], lines[-1]))
    yield text[: len(text) // 2]
    yield text.replace("88.125", "88.625")
    yield text.replace("49.5", "NaN")


def forms(text: str) -> list[str]:
    return list(damaged(text))


@pytest.mark.parametrize("form", range(7))
def test_a_damaged_record_is_not_done_and_is_kept_while_its_run_is_measured_again(
    form: int, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = record_path(results, "run")
    good = path.read_text()
    bad = forms(good)[form]
    path.write_text(bad)
    before = read_rows(results)
    with pytest.raises(UserError, match=re.escape(str(path))):
        read_record(path)
    assert is_whole(record_path(results, "other")) and not is_whole(path)
    assert capsys.readouterr().err == ""
    assert not is_whole(path, told=True)
    assert capsys.readouterr().err.count(str(path)) == 1
    assert rows_so_far(results).equals(before), "rows that were collected stay"
    assert path.read_text() == bad, "readers move nothing"
    write_record(results, [replace(row, measured_at="2026-02-02T00:00:00+00:00") for row in ROWS])
    assert (results / "records" / "damaged" / "run.jsonl").read_text() == bad
    assert f"{path} is damaged" in capsys.readouterr().err
    assert is_whole(path)
    assert len(collect(results)) == len(before)
    assert set(read_rows(results)["measured_at"]) == {ROWS[0].measured_at, "2026-02-02T00:00:00+00:00"}


def test_collect_sets_damaged_records_aside_and_goes_on(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = read_rows(results)
    path = record_path(results, "run")
    for _ in range(2):
        path.write_text("")
        write_record(results, [replace(row, run_id="new") for row in ROWS])
        assert set(collect(results)["run_id"]) == {"run", "other", "new"}
        assert f"{path} is damaged" in capsys.readouterr().err
        assert not path.exists()
    assert sorted(item.name for item in (results / "records" / "damaged").iterdir()) == ["run.2.jsonl", "run.jsonl"]
    after = read_rows(results)
    assert after[after["run_id"] != "new"].reset_index(drop=True).equals(before)


def test_records_that_may_not_be_listed_are_not_taken_for_none(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that can be entered and written but not listed (mode 300) looks empty to `Path.glob`."""

    def forbidden(folder: Path) -> Iterator[Path]:
        raise PermissionError(errno.EACCES, "Permission denied", str(folder))

    monkeypatch.setattr(os, "scandir", forbidden)
    for read in (collect, collect_gates, rows_so_far):
        with pytest.raises(PermissionError):
            read(results)


def test_records_of_version_2_are_read_and_checked(tmp_path: Path) -> None:
    path = write_record(tmp_path, ROWS)
    lines = path.read_text().splitlines(keepends=True)
    older = "".join(lines[:-1]).replace('"schema_version": 3', '"schema_version": 2')
    path.write_text(older)
    assert is_whole(path) and read_record(path) == ROWS
    for wrong in (older.replace("49.5", "NaN"), older + older.splitlines(keepends=True)[-1], older[:-30], lines[0]):
        path.write_text(wrong)
        assert damage_of(path), wrong
    path.write_text(older.replace("49.5", "49.50055"))
    assert "no whole number of examples" in str(damage_of(path))


def test_a_damaged_record_of_another_machine_is_refused_by_name(results: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    path = write_record(source, [one_row(run_id="theirs")])
    path.write_text(path.read_text()[:-5])
    before = [(results / name).read_bytes() for name in ("runs.csv", "values.csv")]
    with pytest.raises(UserError, match=re.escape(str(path))):
        merge(results, "embedded", [source])
    assert [(results / name).read_bytes() for name in ("runs.csv", "values.csv")] == before
    assert path.exists()


@pytest.mark.parametrize(("name", "old", "new"), [("values.csv", "88.125", "88.225"), ("runs.csv", "130", "131")])
def test_a_changed_digit_of_a_table_is_refused_with_run_file_and_line(
    name: str, old: str, new: str, results: Path
) -> None:
    for record in (results / "records").iterdir():
        record.unlink()
    path = results / name
    at = next(place for place, line in enumerate(path.read_text().splitlines()) if old in line)
    run_id = path.read_text().splitlines()[at].partition(",")[0]
    path.write_text(path.read_text().replace(old, new, 1))
    values = (results / "values.csv").read_text().splitlines()
    lines = [place for place, line in enumerate(values, start=1) if line.startswith(run_id + ",")]
    refused = rf"^Run {run_id} is not what its digest says: \S*runs\.csv line \d, "
    for read in (read_rows, rows_so_far, collect):
        with pytest.raises(UserError, match=refused) as told:
            read(results)
    assert f"values.csv lines {lines[0]} to {lines[-1]}. Restore both files" in str(told.value)
    for table in ("runs.csv", "values.csv"):  # what the sentence says to do
        kept = (results / table).read_text().splitlines(keepends=True)
        (results / table).write_text("".join(line for line in kept if not line.startswith(run_id + ",")))
    assert set(read_rows(results)["run_id"]) == {"run", "other"} - {run_id}


def test_damaged_lines_of_a_table_are_taken_from_the_record(results: Path) -> None:
    before = read_rows(results)
    path = results / "values.csv"
    whole = path.read_bytes()
    path.write_text(path.read_text().replace("88.125", "88.225", 1))
    assert (
        rows_so_far(results)
        .sort_values(["run_id", "column", "split"], ignore_index=True)
        .equals(before.sort_values(["run_id", "column", "split"], ignore_index=True))
    )
    assert collect(results).equals(before)
    assert path.read_bytes() == whole


def older_tables(results: Path) -> None:
    """Make the two tables those of schema version 2, which had no digests."""
    path = results / "runs.csv"
    header, *lines = (line.rpartition(",")[0] for line in path.read_text().splitlines())
    path.write_text("\n".join((header, *(line.removesuffix(",3") + ",2" for line in lines), "")))


def test_tables_of_version_2_are_read_and_get_digests_when_they_are_collected(results: Path) -> None:
    rows, sealed = read_rows(results), (results / "runs.csv").read_bytes()
    older_tables(results)
    older = (results / "runs.csv").read_bytes()
    assert read_rows(results).equals(rows)
    assert collect(results).equals(rows) and (results / "runs.csv").read_bytes() == older
    merge(results, "embedded", [])
    assert (results / "runs.csv").read_bytes() == sealed


def test_a_share_of_no_whole_number_of_examples_is_refused_with_its_line_though_there_is_no_digest(
    results: Path,
) -> None:
    older_tables(results)
    path = results / "values.csv"
    path.write_text(path.read_text().replace("49.5", "49.50055", 1))
    with pytest.raises(UserError, match=r"values\.csv line 4, run run: value 49\.50055, .*whole number of examples"):
        read_rows(results)


def test_a_table_of_version_3_without_digests_is_refused(results: Path) -> None:
    path = results / "runs.csv"
    path.write_text("".join(line.rpartition(",")[0] + "\n" for line in path.read_text().splitlines()))
    with pytest.raises(UserError, match="no column of digests"):
        read_rows(results)


characters = st.sampled_from(list('0123456789aex.,:-+"{}[] \n\r\tE\\ü\0')) | st.characters(codec="utf-8")


@st.composite
def one_character_off(draw: st.DrawFn, text: str) -> str:
    """A text with one character replaced, put in, or taken out."""
    at = draw(st.integers(0, len(text) - 1))
    put = draw(st.just("") | characters)
    return text[:at] + put + text[at + draw(st.integers(0 if put else 1, 1)) :]


def recorded() -> str:
    with TemporaryDirectory() as folder:
        return write_record(Path(folder), ROWS).read_text()


def tables() -> dict[str, str]:
    with TemporaryDirectory() as folder:
        write_rows(Path(folder), to_frame([*ROWS, *OTHER]))
        return {name: (Path(folder) / name).read_text() for name in ("runs.csv", "values.csv")}


RECORD, TABLES = recorded(), tables()


@settings(max_examples=400, deadline=None)
@given(one_character_off(RECORD))
def test_any_single_character_of_a_record_is_refused_by_name_or_changes_nothing(text: str) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "run.jsonl"
        path.write_bytes(text.encode())
        try:
            found: list[Row] | None = read_record(path)
        except UserError as refused:
            assert str(path) in str(refused)
            found = None
        assert found in (None, ROWS)
        assert is_whole(path) == (found is not None)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_single_character_of_a_table_is_refused_by_name_or_changes_nothing(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(TABLES)))
    with TemporaryDirectory() as folder:
        for other, text in TABLES.items():
            changed = data.draw(one_character_off(text)) if other == name else text
            (Path(folder) / other).write_bytes(changed.encode())
        try:
            found = read_rows(Path(folder))
        except UserError as refused:
            assert folder in str(refused) and "runs.csv" in str(refused)
            return
    expected = to_frame([*ROWS, *OTHER]).sort_values(["run_id", "column", "split"], ignore_index=True)
    assert found.sort_values(["run_id", "column", "split"], ignore_index=True).equals(expected)


def digests(results: Path) -> dict[str, str]:
    lines = (results / "runs.csv").read_text().splitlines()[1:]
    return {line.partition(",")[0]: line.rpartition(",")[2] for line in lines}


@settings(max_examples=15, deadline=None)
@given(st.permutations(range(5)), st.integers(1, 4))
def test_digests_do_not_depend_on_the_order_of_merges_nor_of_lines(order: list[int], cut: int) -> None:
    runs = [[replace(row, run_id=f"run{n}", seed=n) for row in ROWS] for n in range(5)]
    with TemporaryDirectory() as folder:
        one, parts = Path(folder) / "one", [Path(folder) / "first", Path(folder) / "second"]
        write_rows(one, to_frame([row for run in runs for row in run]))
        for part, chosen in zip(parts, (order[:cut], order[cut:]), strict=True):
            write_rows(part, to_frame([row for n in chosen for row in runs[n]]))
        merged = Path(folder) / "merged"
        merge(merged, "embedded", parts)
        assert digests(merged) == digests(one)
        for name in ("runs.csv", "values.csv"):  # as a merge by git may leave them
            header, *lines = (merged / name).read_text().splitlines(keepends=True)
            np.random.default_rng(order).shuffle(lines)
            (merged / name).write_text("".join((header, *lines)))
        assert read_rows(merged).equals(read_rows(one))
