"""REPRODUCING.md says what the rows say."""

from fake_rows import fake_table2

from benchmarks.records.rows import to_frame
from reports.registry import REPORTS
from reports.reproducing import NEEDS, reproducing


def test_every_table_has_a_command_for_every_scale() -> None:
    text = reproducing({})
    printed = [name for name, report in REPORTS.items() if report.printed]
    assert set(printed) <= set(NEEDS)
    for name in printed:
        for scale in ("embedded", "local", "paper"):
            state = "not run" if REPORTS[name].needs_rows else "needs no runs"
            assert f"| {scale} | `nox -s {name} -- --scale {scale}` | {state} |  |" in text


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
