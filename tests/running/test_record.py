"""Records and the two tables: one run per file, nothing half-written, blanks stay blanks, floats stay exact."""

import itertools
import json
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
import pandera.errors
import pytest
from fake_rows import one_row
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from benchmarks.records import files as record_pair
from benchmarks.records import record_files
from benchmarks.records.collected import collect, read_rows, write_rows
from benchmarks.records.files import read_pair, write_pair
from benchmarks.records.record_files import read_record, record_path, write_record
from benchmarks.records.rows import KEY, ROW_ORDER, RUN_COLUMNS, Row, join_rows, row_schema, split_rows, to_frame
from delta_core.training.errors import UserError

percent = st.floats(0, 100)
TABLES = ("runs.csv", "values.csv")


def files(folder: Path) -> list[str]:
    found = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return [name for name in found if name != ".lock"]


def test_a_record_holds_the_rows_of_one_run(tmp_path: Path) -> None:
    rows = [one_row(run_id="a", split="val"), one_row(run_id="a")]
    path = write_record(tmp_path, rows)
    assert path == record_path(tmp_path, "a")
    assert read_record(path) == rows
    run, *values, closing = (json.loads(line) for line in path.read_text().splitlines())
    assert closing["values"] == 2
    assert set(run) == set(RUN_COLUMNS)
    assert len(values) == 2 and not set(run) & set(values[0]), "nothing is said twice"


def test_rows_that_say_two_things_of_their_run_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="differ in what is said of the run"):
        write_record(tmp_path, [one_row(), one_row(split="val", train_s=2.0)])
    assert files(tmp_path) == []


@pytest.mark.parametrize("rows", [[], [one_row(run_id="a"), one_row(run_id="b")]], ids=["none", "two runs"])
def test_rows_of_none_or_two_runs_are_refused(rows: list[Row], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="exactly one run"):
        write_record(tmp_path, rows)
    assert files(tmp_path) == []


def test_an_exception_while_writing_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def dumps(row: dict[str, object]) -> str:
        asked.append(row)
        if len(asked) > 2:
            raise KeyboardInterrupt
        return "{}"

    monkeypatch.setattr(record_files.json, "dumps", dumps)
    with pytest.raises(KeyboardInterrupt):
        write_record(tmp_path, [one_row(), one_row(split="val")])
    assert files(tmp_path) == []


def test_collect_is_idempotent(tmp_path: Path) -> None:
    write_record(tmp_path, [one_row(run_id="b"), one_row(run_id="b", split="val")])
    write_record(tmp_path, [one_row(run_id="a")])
    collect(tmp_path)
    first = [(tmp_path / name).read_bytes() for name in TABLES]
    collect(tmp_path)
    assert [(tmp_path / name).read_bytes() for name in TABLES] == first
    assert files(tmp_path) == ["records/a.jsonl", "records/b.jsonl", *TABLES]


def test_collect_keeps_rows_whose_record_is_elsewhere(tmp_path: Path) -> None:
    write_record(tmp_path, [one_row(run_id="elsewhere", value=12.5)])
    collect(tmp_path)
    record_path(tmp_path, "elsewhere").unlink()
    write_record(tmp_path, [one_row(run_id="here")])
    frame = collect(tmp_path)
    assert sorted(frame["run_id"]) == ["elsewhere", "here"]
    assert sorted(read_rows(tmp_path)["run_id"]) == ["elsewhere", "here"]


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


def test_collect_of_nothing_writes_nothing(tmp_path: Path) -> None:
    assert len(collect(tmp_path / "new")) == 0
    assert files(tmp_path) == []


def test_two_rows_of_one_key_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"Run run, top1 of 'signs' .* two values of one key"):
        write_record(tmp_path, [one_row(value=1.0), one_row(value=2.0)])
    with pytest.raises(pandera.errors.SchemaError, match="not unique"):
        split_rows(to_frame([one_row(value=1.0), one_row(value=2.0)]))
    assert files(tmp_path) == []


@pytest.mark.parametrize("field", KEY)
def test_rows_that_differ_in_any_part_of_the_key_stand_side_by_side(field: str) -> None:
    other = {"alpha": 0.5, "phase": "before", "split": "val"}.get(field, "other")
    row_schema().validate(to_frame([one_row(), one_row(**{field: other})]))


@pytest.mark.parametrize(
    "changes",
    [
        {"value": -0.1}, {"value": 100.1}, {"value": math.nan}, {"alpha": 1.1}, {"scale": "huge"},
        {"train_s": -1.0}, {"eval_s": math.inf}, {"value": 50.5, "n_examples": 100},
    ],
    ids=str,
)  # fmt: skip
def test_what_no_measurement_gives_is_refused_with_run_and_field(changes: dict[str, object], tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=rf"^Run run, top1 of 'signs' \(after, test\): .*{next(iter(changes.values()))}"
    ):
        write_record(tmp_path, [one_row(**changes)])
    with pytest.raises(pandera.errors.SchemaError):
        split_rows(to_frame([one_row(**changes)]))
    assert files(tmp_path) == []


def damage(text: str) -> dict[str, str]:
    return {
        "another table": "a,b\n1,2\n",
        "empty file": "",
        "a word for a number": text.replace("50.0", "fifty").replace("1.0", "one"),
        "a value out of range": text.replace("50.0", "150.0").replace("1.0", "-1.0"),
        "cut in the last line": text[: len(text) - 20],
        "a line twice": text + text.splitlines()[-1] + "\n",
        "a line missing": "".join(text.splitlines(keepends=True)[:-1]),
        "a column too many": "\n".join(f"{line},1" for line in text.splitlines()),
        "binary": "\0\1\2",
    }


REFUSED = r"(runs\.csv and values\.csv are not result files|Run \S* is not what its digest says: \S*runs\.csv line \d)"


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("kind", damage("x\n"))
def test_damaged_tables_are_told_in_one_line(kind: str, name: str, tmp_path: Path) -> None:
    write_record(tmp_path, [one_row()])
    collect(tmp_path)
    record_path(tmp_path, "run").unlink()
    path = tmp_path / name
    path.write_text(damage(path.read_text())[kind])
    before = path.read_bytes()
    with pytest.raises(UserError, match=REFUSED) as caught:
        read_rows(tmp_path)
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError):
        collect(tmp_path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("name", TABLES)
def test_a_table_that_is_not_text_is_told_in_one_line(name: str, tmp_path: Path) -> None:
    write_record(tmp_path, [one_row()])
    collect(tmp_path)
    (tmp_path / name).write_bytes(b"\xff\xfe\x00" * 50)
    with pytest.raises(UserError, match=REFUSED):
        read_rows(tmp_path)


def test_a_lost_table_is_told(tmp_path: Path) -> None:
    write_record(tmp_path, [one_row()])
    collect(tmp_path)
    (tmp_path / "values.csv").unlink()
    with pytest.raises(UserError, match="are not result files"):
        read_rows(tmp_path)


def test_a_missing_csv_is_an_empty_frame_of_the_right_shape(tmp_path: Path) -> None:
    row_schema().validate(read_rows(tmp_path))


def test_blank_cells_stay_blank(tmp_path: Path) -> None:
    blank = one_row(alpha=None, base_logits_equal=None, params_delta_full_size=None, variant="")
    zero = one_row(run_id="zero", alpha=0.0, base_logits_equal=False, params_delta_full_size=0, variant="NA")
    write_record(tmp_path, [blank])
    write_record(tmp_path, [zero])
    collect(tmp_path)
    frame = read_rows(tmp_path).set_index("run_id")
    for name in ("alpha", "base_logits_equal", "params_delta_full_size"):
        assert pd.isna(frame.loc["run", name])
        assert frame.loc["zero", name] == 0
    assert frame["variant"].to_dict() == {"run": "", "zero": "NA"}


@settings(max_examples=8, deadline=None, phases=[Phase.generate])  # shrinking would take minutes
@given(st.lists(st.tuples(percent, st.floats(0, 1e6), st.one_of(st.none(), st.floats(0, 1))), min_size=50))
def test_floats_survive_the_round_trip_exactly(numbers: list[tuple[float, float, float | None]]) -> None:
    rows = [
        one_row(run_id=f"{index:04}", metric="mIoU", value=value, train_s=seconds, alpha=alpha)
        for index, (value, seconds, alpha) in enumerate(numbers)
    ]
    with TemporaryDirectory() as folder:
        for row in rows:
            write_record(Path(folder), [row])
        for _ in range(2):  # from the records, then from the tables alone
            collect(Path(folder))
            for row in rows:
                record_path(Path(folder), row.run_id).unlink(missing_ok=True)
        found = read_rows(Path(folder))
    assert found["value"].tolist() == [value for value, _, _ in numbers]
    assert found["train_s"].tolist() == [seconds for _, seconds, _ in numbers]
    assert [None if pd.isna(alpha) else alpha for alpha in found["alpha"]] == [alpha for _, _, alpha in numbers]


def test_accuracies_survive_the_round_trip_exactly(tmp_path: Path) -> None:
    values = [100 * right / 997 for right in range(998)]
    write_record(
        tmp_path, [one_row(variant=f"{index:04}", value=value, n_examples=997) for index, value in enumerate(values)]
    )
    collect(tmp_path)
    assert read_rows(tmp_path)["value"].tolist() == values


def test_text_with_commas_quotes_and_accents_survives(tmp_path: Path) -> None:
    row = one_row(config='{"a":"b, c"}', device="Prozessor Größe 1", transform='say "x"')
    write_record(tmp_path, [row])
    collect(tmp_path)
    found = read_rows(tmp_path).iloc[0]
    expected = asdict(replace(row))
    assert {name: found[name] for name in ("config", "device", "transform")} == {
        name: expected[name] for name in ("config", "device", "transform")
    }


# --- two tables --------------------------------------------------------------------------------------------------

runs = st.fixed_dictionaries(
    {
        "suite": st.sampled_from(["patching", "transfer"]),
        "task": st.sampled_from(["signs", 'a, "b"']),
        "seed": st.integers(0, 2),
        "train_s": st.floats(0, 1e6),
        "params_delta_full_size": st.one_of(st.none(), st.integers(0, 10**9)),
        "base_logits_equal": st.sampled_from([None, True, False]),
    }
)
keys = st.tuples(
    st.sampled_from(["", "NA", "lr=0.1"]), st.one_of(st.none(), st.floats(0, 1)), st.sampled_from(["val", "test"])
)
Described = list[tuple[dict[str, object], list[tuple[tuple[str, float | None, str], float]]]]


@settings(max_examples=30, deadline=None, phases=[Phase.generate])
@given(
    st.lists(
        st.tuples(runs, st.lists(st.tuples(keys, percent), min_size=1, max_size=5, unique_by=lambda each: each[0])),
        max_size=6,
    )
)
def test_rows_become_two_tables_and_rows_again(described: Described) -> None:
    rows = to_frame(
        one_row(run_id=f"{index}e{index}", metric="mIoU", variant=variant, alpha=alpha, split=split, value=value, **run)
        for index, (run, found) in enumerate(described)
        for (variant, alpha, split), value in found
    )
    tables = split_rows(rows)
    assert len(tables[0]) == len(described)
    pd.testing.assert_frame_equal(join_rows(*tables), rows.sort_values(list(ROW_ORDER), ignore_index=True))
    again = split_rows(rows.sample(frac=1, random_state=0))
    for table, other in zip(tables, again, strict=True):
        pd.testing.assert_frame_equal(table, other)  # whatever order rows come in


def test_a_new_run_adds_lines_in_one_place_of_each_table(tmp_path: Path) -> None:
    def add(seed: int) -> None:
        row = one_row(run_id=str(seed), seed=seed)
        write_record(tmp_path, [row, replace(row, split="val")])

    add(0)
    add(2)
    collect(tmp_path)
    before = [(tmp_path / name).read_text().splitlines() for name in TABLES]
    add(1)
    collect(tmp_path)
    for name, old, count in zip(TABLES, before, (1, 2), strict=True):
        new = (tmp_path / name).read_text().splitlines()
        at = next(place for place, line in enumerate(new) if line not in old)
        assert new[:at] + new[at + count :] == old
        assert at == 1 + count


def test_a_run_that_says_two_things_of_itself_is_refused() -> None:
    with pytest.raises(pandera.errors.SchemaError, match="not unique"):
        split_rows(to_frame([one_row(), one_row(split="val", device="another")]))


class Killed(BaseException):
    """What nothing in the code under test knows."""


def pair_in(folder: Path) -> tuple[bytes, bytes | None]:
    return read_pair(folder / "first", folder / "second")


def write_and_die(folder: Path, word: str, killed_at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write a pair of that word; every rename and removal counts as a moment, and none comes from `killed_at` on."""
    moments = itertools.count(1)

    def dying(step: Callable[..., object]) -> Callable[..., object]:
        def take(*arguments: object, **options: object) -> object:
            if next(moments) >= killed_at:
                raise Killed
            return step(*arguments, **options)

        return take

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", dying(Path.replace))
        patched.setattr(Path, "unlink", dying(Path.unlink))
        with suppress(Killed):
            write_pair(folder / "first", folder / "second", (word, word))


@pytest.mark.parametrize("killed_at", range(1, 8))
def test_kills_at_any_moment_leave_a_whole_pair(
    killed_at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two writers one after the other, each killed at a moment of its own."""
    for killed_again_at in range(1, 8):
        folder = tmp_path / str(killed_again_at)
        write_pair(folder / "first", folder / "second", ("old", "old"))
        write_and_die(folder, "new", killed_at, monkeypatch)
        known = b"new" if killed_at > 3 else b"old"
        assert pair_in(folder) == (known, known)
        write_and_die(folder, "newer", killed_again_at, monkeypatch)
        assert pair_in(folder) in {(word, word) for word in (known, b"newer")}
        write_pair(folder / "first", folder / "second", ("newest", "newest"))
        assert pair_in(folder) == (b"newest", b"newest")
        left = {path.name for path in folder.iterdir() if not path.name.endswith(".tmp")}
        assert left == {"first", "second"}


@pytest.mark.parametrize("killed_before", [False, True])
def test_a_reader_finds_a_whole_pair_wherever_a_writer_comes_between(
    killed_before: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All ways to lay the renames of a writer between the looks of a reader."""
    first, second = tmp_path / "first", tmp_path / "second"
    renames: list[Callable[[], object]] = []
    looks = itertools.count(1)
    before: list[int] = []
    """For each rename, the look that it comes before."""

    def later(path: Path, target: Path, real: Callable[..., object] = Path.replace) -> None:
        renames.append(partial(real, path, target))

    def overtaken(look: Callable[..., object]) -> Callable[..., object]:
        def take(*arguments: object, **options: object) -> object:
            now = next(looks)
            while before and before[0] <= now:
                before.pop(0)
                renames.pop(0)()
            return look(*arguments, **options)

        return take

    for places in itertools.combinations_with_replacement(range(1, 11), 3):
        write_pair(first, second, ("older", "older"))
        if killed_before:
            write_and_die(tmp_path, "old", 4, monkeypatch)
        else:
            write_pair(first, second, ("old", "old"))
        with monkeypatch.context() as patched:
            patched.setattr(Path, "replace", later)
            write_pair(first, second, ("new", "new"))
        looks, before = itertools.count(1), [places[0]] * (len(renames) - 2) + [*places[1:]]
        with monkeypatch.context() as patched:
            for name in ("stat", "read_bytes"):
                patched.setattr(Path, name, overtaken(getattr(Path, name)))
            found = pair_in(tmp_path)
        assert found in {(b"old", b"old"), (b"new", b"new")}, places
        while renames:
            renames.pop(0)()
        assert pair_in(tmp_path) == (b"new", b"new")


def test_writers_at_once_wait_for_one_another(tmp_path: Path) -> None:
    def write(seed: int) -> None:
        write_rows(tmp_path, to_frame([one_row(run_id=str(seed), seed=seed)]))

    write(0)
    with ThreadPoolExecutor(4) as pool:
        writers = [pool.submit(write, seed) for seed in range(40)]
        while not all(writer.done() for writer in writers):
            assert len(read_rows(tmp_path)) == 1
        for writer in writers:
            writer.result()
    assert files(tmp_path) == list(TABLES)


def test_rows_are_read_between_the_two_renames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_record(tmp_path, [one_row(run_id="a")])
    collect(tmp_path)
    write_record(tmp_path, [one_row(run_id="b")])
    real, moves = Path.replace, []

    def die_at_the_last(self: Path, target: Path) -> Path:
        moves.append(target.name)
        if moves[-2:] == ["runs.csv", "values.csv"]:
            raise KeyboardInterrupt
        return real(self, target)

    monkeypatch.setattr(record_pair.Path, "replace", die_at_the_last)
    with pytest.raises(KeyboardInterrupt):
        collect(tmp_path)
    monkeypatch.undo()
    assert sorted(read_rows(tmp_path)["run_id"]) == ["a", "b"]
    write_record(tmp_path, [one_row(run_id="c")])
    assert sorted(collect(tmp_path)["run_id"]) == ["a", "b", "c"]
    assert files(tmp_path) == ["records/a.jsonl", "records/b.jsonl", "records/c.jsonl", *TABLES]
