"""What is kept between runs: nothing that a run reads once, and a group of tasks is opened once."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tiny import PREPROCESSING, RECIPE, tiny_task
from tiny_cell import tiny_cell

from benchmarks.data import load
from benchmarks.data.catalogue.entry import DataSet
from benchmarks.data.groups import members
from benchmarks.data.load import load_task
from benchmarks.env import Env
from benchmarks.methods.base import Cell, Method
from benchmarks.methods.batchnorm_adapt import BatchNormAdapt
from benchmarks.methods.delta import DeltaNetworks
from benchmarks.methods.fc_only import FcOnly
from benchmarks.suites.patching.world import JOINT_TASKS
from delta_core import DeltaConfig
from delta_core.training.data.splits import TaskData
from delta_core.training.tensor_store import TensorStore

METHODS: list[Method] = [
    FcOnly(recipe=RECIPE),
    BatchNormAdapt(recipe=RECIPE),
    DeltaNetworks(recipe=RECIPE, config=DeltaConfig(n_modules=1), reading="maps"),
]
FROZEN = pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)


def cell_with_store(folder: Path, limit_gb: float = 1.0) -> Cell:
    return tiny_cell(store=TensorStore(root=folder, limit_gb=limit_gb))


@FROZEN
def test_features_that_a_run_reads_once_are_not_kept(method: Method, tmp_path: Path) -> None:
    """With fresh views training goes through the whole net, so features serve the two evaluations alone."""
    for views, kept in ((0, False), (1, True)):
        cell = cell_with_store(tmp_path / str(views))
        replace(method, recipe=replace(method.recipe, views=views)).measure(cell)
        assert bool(cell.store.size_bytes()) is kept


@FROZEN
def test_values_are_the_same_without_a_store(method: Method, tmp_path: Path) -> None:
    fresh = replace(method, recipe=replace(method.recipe, views=0))
    found = [fresh.measure(cell_with_store(tmp_path, limit)).measurements for limit in (0.0, 1.0)]
    assert found[0] == found[1]


# --- groups ------------------------------------------------------------------------------------------------------


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Names of official tasks as they are opened from disk."""
    names: list[str] = []

    def open_task(entry: DataSet, *_: object, **__: object) -> TaskData:
        names.append(entry.name)
        return tiny_task(entry.name)

    monkeypatch.setattr(load, "load_official", open_task)
    load._official.cache_clear()
    yield names
    load._official.cache_clear()


def test_a_sequence_and_its_base_are_opened_once_for_many_runs(opened: list[str], tmp_path: Path) -> None:
    env = Env(results=tmp_path, cache=tmp_path, data_root=tmp_path)
    for task in JOINT_TASKS.paper:
        opened.clear()
        for _ in range(3):  # methods and seeds
            for name in (*members(task), "imagenet"):
                load_task(name, env, PREPROCESSING)
        assert len(opened) == len(set(opened))


def test_tasks_are_joined_once_for_many_runs(opened: list[str], tmp_path: Path) -> None:
    """Joining copies all images into memory."""
    env = Env(results=tmp_path, cache=tmp_path, data_root=tmp_path)
    first, again = (load_task("cars+flowers", env, PREPROCESSING) for _ in range(2))
    assert again is first
    assert load_task("flowers+cars", env, PREPROCESSING) is not first
    assert sorted(opened) == ["cars", "flowers"]
