"""`python -m benchmarks run --log-dir`: a folder for each run, which holds what its rows say; the rows are the same."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from event_files import scalars_in
from grid_world import call, run_ids, write_one_cell
from inline_workers import InlineWorkers

from benchmarks.cli import PROG, main
from benchmarks.env import Env
from benchmarks.grid import pool, work
from benchmarks.records.collected import read_rows
from benchmarks.records.rows import KEY
from benchmarks.run_log import log_folder
from benchmarks.suites.patching.spec import RunSpec
from benchmarks.suites.patching.world import PATCHING_TASKS
from benchmarks.tables import runs_of as table_runs
from benchmarks.worlds.open import open_world
from benchmarks.worlds.options import Options

CELL = ("table2", "--arch", "resnet18", "--task", "optdigits", "--epochs", "2")
METHODS = ("fc_only", "delta_networks:maps", "paint")
OF_THE_MACHINE = ["train_s", "eval_s", "peak_mem_mb", "measured_at"]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    write_one_cell(folder)
    return folder


@pytest.fixture(scope="module")
def measured(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Results with a log and without, and the log."""
    root = tmp_path_factory.mktemp("measured")
    places = {name: root / name for name in ("with", "without", "logs")}
    words = [*CELL, "--cache", cache, *(word for method in METHODS for word in ("--method", method))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pool, "_pool", lambda env, _: InlineWorkers(lambda task: work.work_on(task, env)))
        for name, flags in (("with", ("--log-dir", places["logs"])), ("without", ())):
            patch.setattr("sys.argv", [PROG, "run", *map(str, (*words, "--results", places[name], *flags))])
            with pytest.raises(SystemExit) as ended:
                main()
            assert ended.value.code == 0
    return places


def rows_in(results: Path) -> pd.DataFrame:
    return read_rows(results / "embedded").drop(columns=OF_THE_MACHINE).sort_values(list(KEY), ignore_index=True)


def runs_of(results: Path) -> dict[str, RunSpec]:
    ids = set(read_rows(results / "embedded")["run_id"])
    return {run_id: run for run_id, run in run_ids(epochs=2).items() if run_id in ids}


def test_rows_are_the_same_with_a_log_and_without(measured: dict[str, Path]) -> None:
    pd.testing.assert_frame_equal(rows_in(measured["with"]), rows_in(measured["without"]), check_exact=True)
    assert {run.method.name for run in runs_of(measured["with"]).values()} == {"fc_only", "delta_networks", "paint"}


def test_each_run_has_a_folder_of_its_own_with_the_values_of_its_rows(measured: dict[str, Path]) -> None:
    runs, rows = runs_of(measured["with"]), read_rows(measured["with"] / "embedded")
    folders = {run_id: log_folder(run, measured["logs"] / "table2") for run_id, run in runs.items()}
    assert len(folders) >= 5
    assert {path.parent for path in measured["logs"].rglob("events.*")} == set(folders.values())
    for run_id, run in runs.items():
        found, of_run = scalars_in(folders[run_id]), rows[rows["run_id"] == run_id]
        after, steps = of_run[of_run["phase"] == "after"], of_run["steps"].iloc[0]
        assert [step for step, _ in found["loss/step"]] == list(range(1, steps + 1))
        assert [step for step, _ in found["loss/epoch"]] == [steps // 2, steps]
        assert sum(tag.startswith("gates/sd/") for tag in found) == run.method.n_delta_modules
        measured_values = {tag: scalars for tag, scalars in found.items() if tag.startswith(("val/", "test/"))}
        assert {step for scalars in measured_values.values() for step, _ in scalars} == {steps}
        assert len(measured_values) == len(after), "each value under a tag of its own"
        values = sorted(value for ((_, value),) in measured_values.values())
        assert values == sorted(torch.tensor(after["value"].tolist()).tolist())
        plain = after[(after["column"] == "optdigits") & (after["split"] == "test")]
        if run.method.name != "paint":
            assert found["test/top1/optdigits"] == [(steps, pytest.approx(plain["value"].item(), rel=1e-6))]


def test_the_name_of_a_folder_tells_the_run(measured: dict[str, Path]) -> None:
    run_id, run = next(
        (run_id, run) for run_id, run in runs_of(measured["with"]).items() if run.method.n_delta_modules == 4
    )
    folder = measured["logs"] / "table2" / "resnet18" / "optdigits" / f"delta_networks-maps-4-seed0-{run_id}"
    assert log_folder(run, measured["logs"] / "table2") == folder
    assert folder.is_dir()
    odd = replace(run, task="imagefolder:../a b")
    assert log_folder(odd, Path("logs")).parts[:3] == ("logs", "resnet18", "imagefolder_.._a_b")


def test_a_log_is_no_part_of_a_run(tmp_path: Path) -> None:
    options = Options(table="table2", arch=("resnet18",), task=("optdigits",), epochs=1, log_dir=tmp_path)
    world = open_world(options, PATCHING_TASKS)
    assert world.env.log_dir == tmp_path / "table2"
    assert [run.run_id for run in table_runs(options, world)] == list(run_ids())


def test_without_tensorboard_run_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("delta_core.training.tensorboard_log.find_spec", lambda _: None)
    code, _, told = call(monkeypatch, capsys, "run", *CELL, "--results", tmp_path / "r", "--log-dir", tmp_path / "logs")
    assert code == 2
    assert told == (
        f"{PROG}: log dir is {str(tmp_path / 'logs')!r}, but the package tensorboard is missing, which writes there; "
        "run: pip install 'delta-patching[log]'\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_below_the_log_is_everybodys(tmp_path: Path) -> None:
    env = Env(results=tmp_path / "r", cache=tmp_path / "c", log_dir=tmp_path / "logs")
    gone = FileNotFoundError(2, "No such file or directory", str(tmp_path / "logs" / "net"))
    assert work._is_everybodys(gone, env)
    assert not work._is_everybodys(gone, replace(env, log_dir=None))
