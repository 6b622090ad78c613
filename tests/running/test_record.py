"""Records and runs.csv: one run per file, nothing half-written, blanks stay blanks, floats stay exact."""

import json
import math
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
import pandera.errors
import pytest
from fake_rows import one_row
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from benchmarks.records import rows as record
from benchmarks.records.files import atomic_text
from benchmarks.records.rows import KEY, Row, collect, read_rows, record_path, row_schema, to_frame, write_record
from delta_core.training.errors import UserError

percent = st.floats(0, 100)


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_record_holds_the_rows_of_one_run(tmp_path: Path) -> None:
    rows = [one_row(run_id="a", split="val"), one_row(run_id="a")]
    path = write_record(tmp_path, rows)
    assert path == record_path(tmp_path, "a")
    assert [Row(**json.loads(line)) for line in path.read_text().splitlines()] == rows


@pytest.mark.parametrize("rows", [[], [one_row(run_id="a"), one_row(run_id="b")]], ids=["none", "two runs"])
def test_rows_of_none_or_two_runs_are_refused(rows: list[Row], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="exactly one run"):
        write_record(tmp_path, rows)
    assert files(tmp_path) == []


def test_an_exception_while_writing_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []

    def dumps(row: dict[str, object]) -> str:
        if written:
            raise KeyboardInterrupt
        written.append(row)
        return "{}"

    monkeypatch.setattr(record.json, "dumps", dumps)
    with pytest.raises(KeyboardInterrupt):
        write_record(tmp_path, [one_row(), one_row(split="val")])
    assert written
    assert files(tmp_path) == []


def test_an_exception_while_writing_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "kept.txt"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), atomic_text(path) as stream:
        stream.write("new")
        stream.flush()
        assert path.read_text() == "old", "the file is replaced at the end, not before"
        raise ZeroDivisionError
    assert path.read_text() == "old"
    assert files(tmp_path) == ["kept.txt"]


def test_collect_is_idempotent(tmp_path: Path) -> None:
    write_record(tmp_path, [one_row(run_id="b"), one_row(run_id="b", split="val")])
    write_record(tmp_path, [one_row(run_id="a")])
    collect(tmp_path)
    first = (tmp_path / "runs.csv").read_bytes()
    collect(tmp_path)
    assert (tmp_path / "runs.csv").read_bytes() == first
    assert files(tmp_path) == ["records/a.jsonl", "records/b.jsonl", "runs.csv"]


def test_collect_keeps_rows_whose_record_is_elsewhere(tmp_path: Path) -> None:
    write_record(tmp_path, [one_row(run_id="elsewhere", value=12.5)])
    collect(tmp_path)
    record_path(tmp_path, "elsewhere").unlink()
    write_record(tmp_path, [one_row(run_id="here")])
    frame = collect(tmp_path)
    assert sorted(frame["run_id"]) == ["elsewhere", "here"]
    assert sorted(read_rows(tmp_path / "runs.csv")["run_id"]) == ["elsewhere", "here"]


def test_collect_prefers_the_record_of_a_run_that_has_both(tmp_path: Path) -> None:
    write_record(tmp_path, [one_row(value=1.0), one_row(value=2.0, split="val")])
    collect(tmp_path)
    write_record(tmp_path, [one_row(value=3.0)])
    assert collect(tmp_path)["value"].tolist() == [3.0]


def test_a_run_measured_again_replaces_its_rows(tmp_path: Path) -> None:
    write_record(tmp_path, [one_row(value=1.0, measured_at="2026-01-01T00:00:00+00:00")])
    collect(tmp_path)
    write_record(tmp_path, [one_row(value=2.0, measured_at="2026-01-01T00:00:01+00:00")])
    assert collect(tmp_path)["value"].tolist() == [2.0]


def test_a_table_that_lacks_nothing_is_left_as_it_is(tmp_path: Path) -> None:
    write_record(tmp_path, [one_row(), one_row(split="val")])
    collect(tmp_path)
    before = (tmp_path / "runs.csv").stat()
    assert len(collect(tmp_path)) == 2
    after = (tmp_path / "runs.csv").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_record_that_is_not_text_is_told(tmp_path: Path) -> None:
    write_record(tmp_path, [one_row()])
    collect(tmp_path)
    record_path(tmp_path, one_row().run_id).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="cannot be read"):
        collect(tmp_path)


def test_collect_of_nothing_writes_nothing(tmp_path: Path) -> None:
    assert len(collect(tmp_path / "new")) == 0
    assert files(tmp_path) == []


def test_two_rows_of_one_key_are_refused(tmp_path: Path) -> None:
    write_record(tmp_path, [one_row(value=1.0), one_row(value=2.0)])
    with pytest.raises(pandera.errors.SchemaError, match="not unique"):
        collect(tmp_path)
    assert "runs.csv" not in files(tmp_path)


@pytest.mark.parametrize("field", KEY)
def test_rows_that_differ_in_any_part_of_the_key_stand_side_by_side(field: str) -> None:
    other = {"alpha": 0.5, "phase": "before", "split": "val"}.get(field, "other")
    row_schema().validate(to_frame([one_row(), one_row(**{field: other})]))


@pytest.mark.parametrize(
    "changes",
    [
        {"value": -0.1}, {"value": 100.1}, {"value": math.nan}, {"alpha": 1.1}, {"scale": "huge"},
        {"train_s": -1.0},
    ],
    ids=str,
)  # fmt: skip
def test_values_out_of_range_are_refused(changes: dict[str, object], tmp_path: Path) -> None:
    write_record(tmp_path, [one_row(**changes)])
    with pytest.raises(pandera.errors.SchemaError):
        collect(tmp_path)
    assert "runs.csv" not in files(tmp_path)


def damage(text: str) -> dict[str, str]:
    return {
        "another table": "a,b\n1,2\n",
        "empty file": "",
        "a word for a number": text.replace("50.0", "fifty"),
        "a value out of range": text.replace("50.0", "150.0"),
        "cut in the last line": text[: len(text) - 120],
        "a row twice": text + text.splitlines()[-1] + "\n",
        "a column too many": "\n".join(f"{line},1" for line in text.splitlines()),
        "binary": "\0\1\2",
    }


@pytest.mark.parametrize("kind", damage("x\n"))
def test_a_damaged_csv_is_told_in_one_line(kind: str, tmp_path: Path) -> None:
    write_record(tmp_path, [one_row()])
    collect(tmp_path)
    path = tmp_path / "runs.csv"
    path.write_text(damage(path.read_text())[kind])
    before = path.read_bytes()
    with pytest.raises(UserError, match=r"runs\.csv is not a result file of schema version 1") as caught:
        read_rows(path)
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError):
        collect(tmp_path)
    assert path.read_bytes() == before


def test_a_csv_that_is_not_text_is_told_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "runs.csv"
    path.write_bytes(b"\xff\xfe\x00" * 50)
    with pytest.raises(UserError, match="is not a result file"):
        read_rows(path)


def test_a_missing_csv_is_an_empty_frame_of_the_right_shape(tmp_path: Path) -> None:
    row_schema().validate(read_rows(tmp_path / "runs.csv"))


def test_blank_cells_stay_blank(tmp_path: Path) -> None:
    blank = one_row(alpha=None, base_logits_equal=None, params_delta_full_size=None, variant="")
    zero = one_row(run_id="zero", alpha=0.0, base_logits_equal=False, params_delta_full_size=0, variant="NA")
    write_record(tmp_path, [blank])
    write_record(tmp_path, [zero])
    collect(tmp_path)
    frame = read_rows(tmp_path / "runs.csv").set_index("run_id")
    for name in ("alpha", "base_logits_equal", "params_delta_full_size"):
        assert pd.isna(frame.loc["run", name])
        assert frame.loc["zero", name] == 0
    assert frame["variant"].to_dict() == {"run": "", "zero": "NA"}


@settings(max_examples=8, deadline=None, phases=[Phase.generate])  # shrinking would take minutes
@given(st.lists(st.tuples(percent, st.floats(0, 1e6), st.one_of(st.none(), st.floats(0, 1))), min_size=50))
def test_floats_survive_the_round_trip_exactly(numbers: list[tuple[float, float, float | None]]) -> None:
    rows = [
        one_row(variant=f"{index:04}", value=value, train_s=seconds, alpha=alpha)
        for index, (value, seconds, alpha) in enumerate(numbers)
    ]
    with TemporaryDirectory() as folder:
        write_record(Path(folder), rows)
        for _ in range(2):  # from the record, then from the table alone
            collect(Path(folder))
            record_path(Path(folder), "run").unlink(missing_ok=True)
        found = read_rows(Path(folder) / "runs.csv")
    assert found["value"].tolist() == [value for value, _, _ in numbers]
    assert found["train_s"].tolist() == [seconds for _, seconds, _ in numbers]
    assert [None if pd.isna(alpha) else alpha for alpha in found["alpha"]] == [alpha for _, _, alpha in numbers]


def test_accuracies_survive_the_round_trip_exactly(tmp_path: Path) -> None:
    values = [100 * right / 997 for right in range(998)]
    write_record(tmp_path, [one_row(variant=f"{index:04}", value=value) for index, value in enumerate(values)])
    collect(tmp_path)
    assert read_rows(tmp_path / "runs.csv")["value"].tolist() == values


def test_text_with_commas_quotes_and_accents_survives(tmp_path: Path) -> None:
    row = one_row(config='{"a":"b, c"}', device="Prozessor Größe 1", transform='say "x"')
    write_record(tmp_path, [row])
    collect(tmp_path)
    found = read_rows(tmp_path / "runs.csv").iloc[0]
    expected = asdict(replace(row))
    assert {name: found[name] for name in ("config", "device", "transform")} == {
        name: expected[name] for name in ("config", "device", "transform")
    }
