"""How long a grid would take: bounds that hold for every list of runs, and cases that can be checked by hand."""

from dataclasses import replace

import pytest
from fake_rows import plain_run
from grid_world import call
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.grid.past import longest_first, seconds_of
from benchmarks.grid.simulation import Job, jobs_of, schedule
from benchmarks.records.record_files import write_record
from benchmarks.records.rows import Row, to_frame
from benchmarks.suites.patching.world import PATCHING_TASKS
from benchmarks.tables import runs_of
from benchmarks.worlds.open import open_world
from benchmarks.worlds.options import Options
from delta_core.training.errors import UserError

SECONDS = st.floats(0.01, 1000)


@st.composite
def grids(draw: st.DrawFn) -> list[Job]:
    """Runs, some of which wait for one of a few bases."""
    bases = [Job(name=f"base {place}", seconds=draw(SECONDS)) for place in range(draw(st.integers(0, 3)))]
    after = st.sampled_from([*(base.name for base in bases), "", "a base that is there"])
    runs = [
        Job(name=f"run {place}", seconds=seconds, base=draw(after))
        for place, seconds in enumerate(draw(st.lists(SECONDS, min_size=1, max_size=40)))
    ]
    return [*runs, *bases]


@given(jobs=grids(), devices=st.integers(1, 50))
def test_no_schedule_beats_the_work_or_the_longest_chain_and_none_loses_more_than_graham_says(
    jobs: list[Job], devices: int
) -> None:
    found = schedule(jobs, devices)
    assert max(found.busy_s / devices, found.longest_chain_s) == found.bound_s <= found.makespan_s * (1 + 1e-9)
    assert found.makespan_s <= (found.busy_s / devices + found.longest_chain_s) * (1 + 1e-9)
    assert 0 < found.efficiency <= 1 + 1e-9


@given(jobs=grids())
def test_one_device_takes_all_the_work_and_enough_devices_the_longest_chain(jobs: list[Job]) -> None:
    assert schedule(jobs, 1).makespan_s == pytest.approx(sum(job.seconds for job in jobs))
    many = schedule(jobs, len(jobs))
    assert many.makespan_s == pytest.approx(many.longest_chain_s)
    assert schedule(jobs, 1, between_s=2).makespan_s == pytest.approx(sum(job.seconds + 2 for job in jobs))


def test_bases_come_first_and_then_the_longest() -> None:
    """On two devices: the base and 6 at once, 4 behind the base, 3 behind 4, and 2 behind 6."""
    jobs = [
        Job(name="b", seconds=1),
        *(Job(name=str(s), seconds=s, base="b") for s in (2, 3, 4)),
        Job(name="6", seconds=6),
    ]
    found = schedule(jobs, 2)
    assert (found.makespan_s, found.longest_chain_s) == (8, 6)


def test_jobs_are_runs_on_record_with_their_bases() -> None:
    rows = to_frame(plain_run(patch=60.0))
    (job,) = jobs_of(rows)
    assert job.seconds == pytest.approx(rows["train_s"].iloc[0] + rows["eval_s"].iloc[0])
    with pytest.raises(UserError, match="no rows that tell"):
        jobs_of(rows.iloc[:0])


def test_the_command_prints_a_line_for_each_number_of_devices(
    tmp_path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_record(tmp_path / "results" / "embedded", plain_run(patch=60.0))
    code, out, _ = call(monkeypatch, capsys, "simulate", "all", "--devices", 1, "--devices", 3)
    assert code == 0
    assert [line.split("|")[1].strip() for line in out.splitlines()[2:4]] == ["1", "3"]
    assert call(monkeypatch, capsys, "simulate", "all", "--figure", "hours.svg")[0] == 0
    assert "<svg" in (tmp_path / "hours.svg").read_text()
    code, _, err = call(monkeypatch, capsys, "simulate", "all", "--figure", "hours")
    told = "python -m benchmarks: --figure is 'hours'; give a file that ends in .svg, .png, .pdf."
    assert (code, err.strip()) == (2, told)
    code, _, err = call(monkeypatch, capsys, "simulate", "all", "--devices", 0)
    assert (code, err.strip()) == (2, "python -m benchmarks: devices is 0; give a whole number of at least 1.")


def test_the_longest_runs_come_first_and_those_of_which_nothing_is_known_before_them() -> None:
    """Rows of another seed of the same cell tell best, then those of the same net and method, then of the method."""
    rows = to_frame([
        *timed("a", "resnet18", "fc_only", seconds=1.0),
        *timed("b", "resnet50", "fc_only", seconds=5.0),
        *timed("c", "resnet50", "paint", seconds=50.0),
    ])  # fmt: skip
    options = Options(table="table2", arch=("resnet18", "resnet50"), task=("optdigits",))
    runs = runs_of(options, open_world(options, PATCHING_TASKS))
    took = seconds_of(runs, rows)
    known = {(run.architecture, run.method.name): took[run.run_id] for run in runs}
    assert known["resnet18", "fc_only"] == 1
    assert known["resnet18", "paint"] == 50
    assert known["resnet18", "delta_networks"] is None
    order = [took[run.run_id] for run in longest_first(runs, rows)]
    told = [seconds for seconds in order if seconds is not None]
    assert order == [None] * (len(order) - len(told)) + sorted(told, reverse=True)


def timed(run_id: str, architecture: str, method: str, *, seconds: float) -> list[Row]:
    changes = {"run_id": run_id, "architecture": architecture, "method": method, "train_s": seconds, "eval_s": 0.0}
    return [replace(row, **changes, n_delta_modules=0) for row in plain_run(patch=60.0, task="optdigits")]  # type: ignore[arg-type]
