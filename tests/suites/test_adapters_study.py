"""The adapter study: the same budget of search for all, a choice that looks at validation data alone."""

import random
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fake_rows import one_row
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.grid.reproduce import known_runs
from benchmarks.methods.base import Method
from benchmarks.records.collected import collect, read_rows
from benchmarks.records.configurations import configuration, search_of
from benchmarks.records.names import ADAPTERS, ADAPTERS_SEARCH, MAPS
from benchmarks.records.record_files import write_record
from benchmarks.records.rows import Row, to_frame
from benchmarks.suites.patching import adapters
from benchmarks.suites.patching.adapters_choice import Choice, choose, scores_of
from benchmarks.suites.patching.adapters_search import DEFAULT_DELTA, searched
from benchmarks.suites.patching.searched import Searched
from benchmarks.suites.patching.spec import RunSpec
from benchmarks.suites.patching.world import PATCHING_TASKS
from benchmarks.tables import runs_of, table_of
from benchmarks.worlds.open import open_world
from benchmarks.worlds.options import Options
from benchmarks.worlds.recipes import local_recipes
from benchmarks.worlds.world import World
from delta_core.training.errors import UserError
from delta_core.training.identity import canonical_json, plain

METHODS = searched(local_recipes())
FINAL = (ADAPTERS, "adapters_best", "adapters_long")
LORA = next(each for each in METHODS if each.name == "lora")


def options(results: Path, table: str = ADAPTERS, **changes: Any) -> Options:
    asked = {"arch": ("resnet18",), "task": ("signs", "photos"), "results": results, **changes}
    return Options(table=table, **asked)


def world(results: Path, **changes: Any) -> World:
    return open_world(options(results, **changes), PATCHING_TASKS)


def described(results: Path, table: str, **changes: Any) -> list[RunSpec]:
    asked = options(results, table, **changes)
    return runs_of(asked, open_world(asked, PATCHING_TASKS))  # type: ignore[return-value]


def rows_of(run: RunSpec, val: float, test: float, params: int = 100) -> list[Row]:
    row = one_row(
        run_id=run.run_id, suite=run.suite, protocol=run.protocol, architecture=run.architecture, weights=run.weights,
        method=run.method.name, variant=run.method.variant, n_delta_modules=run.method.n_delta_modules, task=run.task,
        column=run.task, seed=run.seed, params_delta=params, config=canonical_json(run),
    )  # fmt: skip
    return [replace(row, split="val", value=val), replace(row, split="test", value=test)]


def write_search(results: Path, top1: dict[str, float], *, less: int = 0, **changes: Any) -> None:
    """Records of a whole search but its last `less` runs: configuration k of a method has its top-1 minus k."""
    runs = described(results, ADAPTERS_SEARCH, **changes)
    seen: dict[str, list[str]] = {}
    for run in runs[: len(runs) - less]:
        place = seen.setdefault(f"{run.method.name}{run.method.n_delta_modules}", [])
        if (key := configuration(plain(run.method))) not in place:
            place.append(key)
        value = top1.get(run.method.name, 50.0) - 0.5 * place.index(key)
        write_record(results / "embedded", rows_of(run, value, 1.0))


# --- the list ----------------------------------------------------------------------------------------------------


def test_every_method_has_six_different_configurations() -> None:
    assert {each.name: len(each.configurations) for each in METHODS} == dict.fromkeys(
        (each.name for each in METHODS), 6
    )
    keys = [configuration(plain(method)) for each in METHODS for method in each.configurations]
    assert len(set(keys)) == 6 * len(METHODS)
    assert len({each.name for each in METHODS}) == len(METHODS)


def test_schedule_and_views_are_those_of_all() -> None:
    recipes = [method.recipe for each in METHODS for method in each.configurations]
    assert len({(recipe.epochs, recipe.views, recipe.batch_size, recipe.feature_dtype) for recipe in recipes}) == 1


@pytest.mark.parametrize("each", METHODS, ids=lambda each: each.name)
def test_of_the_recipe_only_one_rate_is_searched(each: Searched) -> None:
    rate = "head_lr" if each.name == "fc_only" else "lr"
    fixed = {replace(method.recipe, **{rate: 1.0}) for method in each.configurations}
    assert len(fixed) == 1
    assert len({getattr(method.recipe, rate) for method in each.configurations}) >= 3


def test_only_full_fine_tuning_gives_up_the_base() -> None:
    assert [each.name for each in METHODS if not each.keeps_base] == ["finetune"]


# --- the choice --------------------------------------------------------------------------------------------------


def table(values: dict[tuple[int, str], tuple[float, float]], params: dict[int, int] | None = None) -> list[Row]:
    """Rows of LoRA's configurations by number and task: (validation, test) top-1."""
    found: list[Row] = []
    for (place, task), (val, test) in values.items():
        method = LORA.configurations[place]
        row = one_row(
            run_id=f"{place}-{task}", suite=ADAPTERS_SEARCH, method="lora", task=task, column=task,
            params_delta=(params or {}).get(place, 100), config=config_of(method),
        )  # fmt: skip
        found += [replace(row, split="val", value=val), replace(row, split="test", value=test)]
    return found


def config_of(method: Method) -> str:
    return f'{{"method":{canonical_json(method)}}}'


def chosen(rows: list[Row]) -> Choice:
    return choose(scores_of(to_frame(rows)), [LORA])


per_cent = st.floats(0, 100, allow_nan=False)
cells = st.fixed_dictionaries({(place, task): per_cent for place in range(6) for task in ("signs", "photos")})


@given(cells, cells, cells, st.randoms())
def test_test_rows_change_nothing(
    val: dict[tuple[int, str], float],
    test: dict[tuple[int, str], float],
    other: dict[tuple[int, str], float],
    order: random.Random,
) -> None:
    rows = table({cell: (val[cell], test[cell]) for cell in val})
    again = table({cell: (val[cell], other[cell]) for cell in val})
    order.shuffle(again)
    assert chosen(rows).chosen[0].method == chosen(again).chosen[0].method
    means = [(val[place, "signs"] + val[place, "photos"]) / 2 for place in range(6)]
    (found,) = chosen(rows).chosen
    assert means[LORA.configurations.index(found.method)] == pytest.approx(max(means), abs=1e-6)
    assert found.top1 == pytest.approx(max(means), abs=1e-6)


def test_one_configuration_serves_all_tasks() -> None:
    values = {(place, task): (50.0, 0.0) for place in range(6) for task in ("signs", "photos")}
    values |= {(1, "signs"): (90.0, 0.0), (1, "photos"): (20.0, 0.0), (4, "signs"): (60.0, 0.0)}
    values |= {(4, "photos"): (60.0, 0.0)}
    assert chosen(table(values)).chosen[0].method == LORA.configurations[4]


def test_of_equals_the_smaller_then_the_slower_is_chosen() -> None:
    same = {(place, task): (50.0, 0.0) for place in range(6) for task in ("signs", "photos")}
    smaller = {place: 100 if place < 3 else 30 for place in range(6)}
    found = chosen(table(same, smaller)).chosen[0].method
    assert found == LORA.configurations[3]
    assert found.recipe.lr == min(method.recipe.lr for method in LORA.configurations)


def test_a_method_that_was_not_searched_whole_is_not_guessed() -> None:
    values = {(place, task): (50.0 + place, 0.0) for place in range(6) for task in ("signs", "photos")}
    del values[0, "photos"]
    assert chosen(table(values)) == Choice(chosen=(), incomplete=("lora",))
    assert chosen([]) == Choice(chosen=(), incomplete=("lora",))


def test_a_search_of_another_net_or_start_is_not_looked_at() -> None:
    rows = to_frame(table({(0, "signs"): (50.0, 0.0)}))
    where = {"architecture": "resnet18", "weights": "embedded-digits", "protocol": "epochs=6,px=32,views=1"}
    assert len(search_of(rows, **where)) == 2
    assert search_of(rows, **where | {"architecture": "resnet34"}).empty
    assert search_of(rows, **where | {"weights": "timm:other"}).empty
    assert search_of(rows.assign(suite=ADAPTERS), **where).empty


def test_the_search_of_the_same_protocol_comes_first_else_the_largest() -> None:
    where = {"architecture": "resnet18", "weights": "embedded-digits"}
    rows = [*table({(0, "signs"): (1.0, 0.0), (1, "signs"): (1.0, 0.0)}), replace(one_row(), suite=ADAPTERS_SEARCH)]
    frame = to_frame([replace(row, protocol="p" if row.run_id != "run" else "q") for row in rows])
    assert set(search_of(frame, **where, protocol="q")["protocol"]) == {"q"}
    assert set(search_of(frame, **where, protocol="other")["protocol"]) == {"p"}


# --- the runs ----------------------------------------------------------------------------------------------------


def test_final_runs_are_described_from_the_rows_of_the_search(tmp_path: Path) -> None:
    write_search(tmp_path, {"lora": 90.0, "ssf": 80.0})
    runs = described(tmp_path, ADAPTERS, seeds=3)
    assert len(runs) == len(METHODS) * 2 * 3
    assert {run.suite for run in runs} == {ADAPTERS}
    assert {run.seed for run in runs} == {0, 1, 2}
    assert not any(run.base_task for run in runs)
    assert table_of(ADAPTERS).awaited(world(tmp_path)) == []
    first = {each.name: each.configurations[0] for each in searched(world(tmp_path).recipes)}
    assert {run.method for run in runs if run.method.name == "lora"} == {first["lora"]}


def test_what_is_incomplete_is_named_with_its_command(tmp_path: Path) -> None:
    assert described(tmp_path, ADAPTERS) == []
    write_search(tmp_path, {}, less=1)
    last = METHODS[-1].name
    assert len(described(tmp_path, ADAPTERS)) == 2 * (len(METHODS) - 1)
    assert described(tmp_path, "adapters_best") == []
    (sentence,) = table_of(ADAPTERS).awaited(world(tmp_path))
    assert f"1 of {len(METHODS)} methods on resnet18 wait for their search ({last})" in sentence
    assert "python -m benchmarks run adapters_search --scale embedded --arch resnet18 --task signs" in sentence
    with pytest.raises(UserError, match=f"{last} is not in adapters; nearest there: .* go on with it: python"):
        described(tmp_path, ADAPTERS, method=(last,))


def test_the_five_best_and_the_default_train_longer(tmp_path: Path) -> None:
    leading = {"finetune": 99.0, "lora": 90.0, "ssf": 89.0, "bitfit": 88.0, "ia3": 87.0, "norm_tuning": 86.0}
    write_search(tmp_path, leading)
    best = described(tmp_path, "adapters_best")
    assert {run.method.name for run in best} == {*leading, "delta_networks"} - {"finetune"}
    assert {run.method.variant for run in best if run.method.name == "delta_networks"} == {MAPS}
    assert {run.run_id for run in best} <= {run.run_id for run in described(tmp_path, ADAPTERS)}
    long = described(tmp_path, "adapters_long")
    assert [replace(run.method, recipe=replace(run.method.recipe, epochs=6)) for run in long] == [
        run.method for run in best
    ]
    assert {run.method.recipe.epochs for run in long} == {18}


def test_a_choice_carries_over_to_other_epochs(tmp_path: Path) -> None:
    write_search(tmp_path, {"lora": 90.0})
    (usual,) = {run.method for run in described(tmp_path, ADAPTERS, method=("lora",))}
    (short,) = {run.method for run in described(tmp_path, ADAPTERS, method=("lora",), epochs=2)}
    assert short == replace(usual, recipe=replace(usual.recipe, epochs=2))


def test_the_choice_does_not_depend_on_the_tasks_asked_for(tmp_path: Path) -> None:
    write_search(tmp_path, {"lora": 90.0})
    both = {run.run_id for run in described(tmp_path, ADAPTERS)}
    assert {run.run_id for run in described(tmp_path, ADAPTERS, task=("photos",))} < both
    assert {run.task for run in described(tmp_path, ADAPTERS, task=("shapes",))} == {"shapes"}


def test_the_default_joins_the_best_once(tmp_path: Path) -> None:
    write_search(tmp_path, {"delta_networks": 95.0})
    assert DEFAULT_DELTA in {each.name for each in METHODS}
    runs = described(tmp_path, "adapters_best", task=("signs",))
    assert len({run.run_id for run in runs}) == len(runs) == adapters.BEST
    assert runs[0].method.variant == MAPS


def test_committed_rows_of_both_suites_are_described_by_todays_tables(tmp_path: Path) -> None:
    write_search(tmp_path, {"lora": 90.0})
    finals = [run for name in FINAL for run in described(tmp_path, name, seeds=2)]
    for run in finals:
        write_record(tmp_path / "embedded", rows_of(run, 60.0, 60.0))
    collect(tmp_path / "embedded")
    shutil.rmtree(tmp_path / "embedded" / "records")  # as in a clone
    recorded = read_rows(tmp_path / "embedded")
    assert set(recorded["suite"]) == {ADAPTERS, ADAPTERS_SEARCH}
    assert set(recorded["run_id"]) <= set(known_runs(tmp_path, tmp_path / "cache", seeds=2))
