"""REPRODUCING.md says what the rows say."""

from fake_rows import fake_table2

from benchmarks.record import to_frame
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


def test_runs_seeds_and_hours_are_counted() -> None:
    rows = to_frame(fake_table2())
    text = reproducing({"embedded": rows})
    runs = rows.drop_duplicates("run_id")
    hours = (runs["train_s"] + runs["eval_s"]).sum() / 3600
    assert f"`nox -s table2 -- --scale embedded` | {len(runs)} runs, 3 seeds | {hours:.2f} |" in text
    assert "`nox -s table2 -- --scale paper` | not run" in text
