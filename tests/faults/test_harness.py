"""The harness sees damage where there is some: otherwise a table of zeros would say nothing."""

import os
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from fake_rows import plain_run

from benchmarks.records.collected import collect
from benchmarks.records.record_files import write_record
from tests.faults.crash_points import changed_path
from tests.faults.damage import BINARY, TEXT, damage_one
from tests.faults.rows import compare, rows_below
from tests.faults.table import write_page
from tests.faults.trials import Series
from tests.faults.verdict import DAMAGES, Verdict, seen_together, total


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Two runs, collected."""
    for name, patch in (("first", 60.0), ("second", 70.0)):
        write_record(tmp_path, [replace(row, run_id=name) for row in plain_run(patch=patch)])
    collect(tmp_path)
    return tmp_path


def test_rows_that_are_as_they_were_are_no_damage(results: Path) -> None:
    assert compare(results, rows_below(results)[0], measured_anew=False).clean


def test_a_lost_row_is_seen(results: Path) -> None:
    reference = rows_below(results)[0]
    write_record(results, [replace(row, run_id="third") for row in plain_run(patch=80.0)])
    collect(results)
    more = rows_below(results)[0]
    assert compare(results, reference, measured_anew=False).silent, "rows that nobody measured"
    found = compare(results, more | {("lost",): ((), ())}, measured_anew=False)
    assert (found.lost, found.silent) == (1, 0)
    assert "1 rows lost" in found.notes[0]


def test_a_changed_value_is_seen_and_another_duration_only_where_nothing_was_measured_anew(results: Path) -> None:
    rows = rows_below(results)[0]
    key = min(rows)
    fixed, of_a_moment = rows[key]
    assert compare(results, rows | {key: (("0", *fixed[1:]), of_a_moment)}, measured_anew=True).silent
    slower = rows | {key: (fixed, ("9", *of_a_moment[1:]))}
    assert compare(results, slower, measured_anew=True).clean
    assert compare(results, slower, measured_anew=False).silent


@pytest.mark.parametrize("name", ["values.csv", "net.safetensors"])
def test_every_damage_changes_the_file(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    content = b"run_id,value\nfirst,61.5\nsecond,70.25\n" * 20
    hows = set()
    for number in range(100):
        path.write_bytes(content)
        hows.add(damage_one([path], Random(number))[1])
        assert path.read_bytes() != content
    expected = TEXT if path.suffix == ".csv" else BINARY
    assert hows == {how.__name__.replace("_", " ") for how in expected}


@pytest.mark.parametrize(
    ("event", "arguments", "path"),
    [
        ("open", ("a", "w", os.O_WRONLY | os.O_CREAT), "a"),
        ("open", ("a", "r", os.O_RDONLY), ""),
        ("open", (3, "w", os.O_WRONLY), ""),
        ("os.rename", ("a", Path("b"), -1, -1), "b"),
        ("os.remove", (b"a", -1), "a"),
        ("os.listdir", ("a",), ""),
    ],
)
def test_operations_that_change_a_path_are_counted(event: str, arguments: tuple[object, ...], path: str) -> None:
    assert changed_path(event, arguments) == path


def test_a_trial_counts_once_whatever_was_seen_of_it_and_trials_add_up() -> None:
    once = seen_together([Verdict(lost=1, notes=("a",)), Verdict(lost=1, hang=1, notes=("b",)), Verdict()])
    assert (once.trials, once.lost, once.hang, once.notes) == (1, 1, 1, ("a", "b"))
    both = total([once, Verdict(traceback=1)])
    assert (both.trials, both.lost, both.traceback, both.clean) == (2, 1, 1, False)
    assert all(not Verdict(**{name: 1}).clean for name in DAMAGES)


def test_the_page_has_a_line_for_each_fault_and_the_median_of_times() -> None:
    totals = {
        "kill": total([Verdict(), Verdict(lost=1, notes=("kill, trial 1: gone",))]),
        "interrupt": total(Verdict(seconds=(second,), took_s=80.0) for second in (1.0, 2.0, 6.0)),
    }
    page = write_page("", {"On one machine": totals}, seed=3, jobs=2, commit="abc")
    assert "| kill | 2 | 1 | 0 | 0 | 0 | 0 | 0 |" in page
    assert "| all | 5 | 1 | 0 | 0 | 0 | 0 | 0 |" in page
    assert "interrupt: median 2.00 s, maximum 6.00 s" in page
    assert "- kill, trial 1: gone" in page
    assert "5 trials of seed 3 in 2 minutes, 2 at a time, at commit abc." in page


def test_sections_that_were_not_measured_again_stay_on_the_page() -> None:
    totals = {"kill": total([Verdict()])}
    page = write_page("", {"On one machine": totals, "Inside": totals}, seed=3, jobs=2, commit="abc")
    again = write_page(page, {"Inside": totals, "On a cluster": totals}, seed=3, jobs=2, commit="def")
    titles = [line for line in again.splitlines() if line.startswith("## ")]
    assert titles == ["## On one machine", "## Inside", "## On a cluster"]
    assert (again.count("commit abc"), again.count("commit def")) == (1, 2)
    assert write_page(again, {}, seed=0, jobs=1, commit="") == again


def test_a_series_that_was_killed_while_it_wrote_forgets_that_trial_alone(tmp_path: Path) -> None:
    series = Series(seed=1, jobs=1, scratch=tmp_path, sources="abc")
    line = '{"fault": "kill", "number": 4, "verdict": {"trials": 1, "lost": 1, "notes": ["gone"]}}'
    series.kept.write_text(f"{line}\n{line[:30]}")
    assert series.finished() == {("kill", 4): Verdict(lost=1, notes=("gone",))}
    assert Series(seed=1, jobs=1, scratch=tmp_path, sources="other").finished() == {}
