"""REPRODUCING.md says what the rows say."""

import re

from fake_rows import fake_table2

from benchmarks.records.rows import SCALES, to_frame
from benchmarks.tables import tables_at
from reports.registry import REPORTS
from reports.reproducing import NEEDS, reproducing


def test_every_table_has_a_command_for_every_scale_that_has_it() -> None:
    text = reproducing({})
    printed = [name for name, report in REPORTS.items() if report.printed]
    assert set(printed) <= set(NEEDS)
    for name in printed:
        for scale in SCALES:
            state = "not run" if REPORTS[name].needs_rows else "needs no runs"
            line = f"| {scale} | `nox -s {name} -- --scale {scale}` | {state} |  |"
            assert (line in text) == (scale != "real" or NEEDS[name].at_real)


def test_what_scale_real_lacks_is_what_the_tables_say() -> None:
    measured = {name for name in NEEDS if REPORTS[name].needs_rows}
    assert {name for name in measured if NEEDS[name].at_real} == measured & set(tables_at("real"))


def test_real_rows_stand_first() -> None:
    scales = re.findall(r"^\| (\w+) \| `nox", reproducing({}).split("## Table 3")[0].split("## Table 2")[1], re.M)
    assert scales == ["real", "embedded", "local", "paper"]


def test_runs_seeds_hours_and_blanks_are_counted() -> None:
    """The fake rows lack one line of the table: three numbers in each of 24 cells."""
    rows = to_frame(fake_table2())
    text = reproducing({"embedded": rows})
    runs = rows.drop_duplicates("run_id")
    hours = (runs["train_s"] + runs["eval_s"]).sum() / 3600
    assert (
        f"`nox -s table2 -- --scale embedded --seeds 3` | {len(runs)} runs, 3 seeds, 72 blanks | {hours:.2f} |" in text
    )
    assert "`nox -s table2 -- --scale paper` | not run" in text


def test_runs_of_another_table_are_not_counted() -> None:
    """Tables 2, 3 and 4 share the suites of their runs; groups of tasks are Table 3's, sequences Table 4's."""
    text = reproducing({"embedded": to_frame(fake_table2())})
    for name in ("table3", "table4", "table11"):
        assert f"`nox -s {name} -- --scale embedded` | not run |" in text
