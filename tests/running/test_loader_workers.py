"""How many processes decode images for a run, where nobody says: what feeds a GPU, and none on CPU."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inline_workers import InlineWorkers

from benchmarks.env import Env
from benchmarks.grid import pool
from benchmarks.grid.plan import Planned
from benchmarks.grid.pool import MOST_LOADER_WORKERS, default_loader_workers, run_all
from benchmarks.grid.work import Result
from benchmarks.suites.patching.world import PATCHING_TASKS
from benchmarks.tables import runs_of
from benchmarks.worlds.open import open_world
from benchmarks.worlds.options import Options


@pytest.mark.parametrize(("cores", "gpus", "expected"), [(16, 1, 15), (128, 8, 15), (2, 4, 1), (256, 1, 32)])
def test_a_gpu_gets_the_cores_that_the_runs_leave(
    cores: int, gpus: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "_cores", lambda: cores)
    devices = [f"cuda:{index}" for index in range(gpus)]
    assert default_loader_workers(devices, runs_at_once=gpus) == expected
    assert default_loader_workers(["cpu"], runs_at_once=cores) == 0


@given(st.integers(1, 512), st.integers(1, 64))
def test_runs_and_their_loaders_never_ask_for_more_than_the_cores(cores: int, runs: int) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(pool, "_cores", lambda: cores)
        loaders = default_loader_workers(["cuda:0"], runs_at_once=runs)
    assert 1 <= loaders <= MOST_LOADER_WORKERS
    assert runs * (loaders + 1) <= max(cores, 2 * runs)


@pytest.mark.parametrize(("asked", "expected"), [(None, 7), (0, 0), (3, 3)])
def test_every_run_gets_the_default_or_what_was_asked_for(
    asked: int | None, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Env] = []

    def pool_of(env: Env, _: list[str]) -> InlineWorkers:
        given.append(env)
        return InlineWorkers(lambda task: Result(job=task.job, error="nothing is measured"))

    monkeypatch.setattr(pool, "_cores", lambda: 8)
    monkeypatch.setattr(pool, "devices_of", lambda _: ["cuda:0"])
    monkeypatch.setattr(pool, "_pool", pool_of)
    options = Options(table="table2", arch=("resnet18",), task=("signs",), method=("fc_only",), loader_workers=asked)
    world = open_world(options, PATCHING_TASKS)
    planned = [Planned(run=run, state="todo") for run in runs_of(options, world)]
    run_all(world, planned, workers=None, report=lambda _: None)
    assert [env.loader_workers for env in given] == [expected]
