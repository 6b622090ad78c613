"""The search of learning rates covers every method of Tables 1 and 2, and a choice reaches all of their runs."""

import pytest

from benchmarks.methods.base import Method
from benchmarks.methods.listing import DELTA, FC_ONLY, JOINING, PAINT
from benchmarks.records.names import GATES_ALONE, LITERAL, MAPS
from benchmarks.suites.patching.rates import searched
from benchmarks.suites.patching.table import adapted, both_readings, deltas, references
from benchmarks.worlds.options import Options
from benchmarks.worlds.recipes import Recipes, local_recipes, paper_recipes, recipes_of
from delta_core.training.engine import rate_factor

RECIPES = recipes_of(epochs=2, views=1, batch_size=8, weight_decay=0.1)
CHOSEN = {
    FC_ONLY.name: 0.11,
    PAINT.name: 0.12,
    **{each.name: 0.2 + place / 100 for place, each in enumerate(JOINING)},
    f"{DELTA.name}:{MAPS}": 0.31,
    f"{DELTA.name}:{GATES_ALONE}": 0.32,
    f"{DELTA.name}:{LITERAL}": 0.33,
}


def methods(recipes: Recipes) -> list[Method]:
    """Of Tables 1 and 2."""
    n = (1, 4)
    found = references(recipes) + adapted(recipes)
    return found + both_readings(recipes, n) + deltas(recipes, n, GATES_ALONE)


def test_every_method_is_searched_at_as_many_rates() -> None:
    found = searched(RECIPES)
    assert {each.name for each in found} == set(CHOSEN)
    assert {len(each.configurations) for each in found} == {4}
    # None of them is a configuration twice.
    assert all(len(set(each.configurations)) == 4 for each in found)


def test_both_printed_rates_of_paint_are_among_those_searched_as_they_stand_in_tables() -> None:
    paint = next(each for each in searched(RECIPES) if each.name == PAINT.name)
    assert {method.recipe for method in paint.configurations} >= set(RECIPES.paint)


@pytest.mark.parametrize("recipes", [RECIPES, local_recipes()])
def test_what_a_search_chose_is_what_runs(recipes: Recipes) -> None:
    rates = {name: set[float]() for name in CHOSEN}
    for method in methods(recipes.chosen(CHOSEN)):
        arm = f":{method.variant}" if method.name == DELTA.name else ""
        head = method.name in (FC_ONLY.name, "batchnorm_adapt")
        if method.name + arm in rates:
            rates[method.name + arm].add(method.recipe.head_lr if head else method.recipe.lr)
    assert rates.pop(PAINT.name) == {1e-3, 1e-5, CHOSEN[PAINT.name]}
    assert rates == {name: {rate} for name, rate in CHOSEN.items() if name != PAINT.name}


def test_a_printed_rate_of_paint_that_is_chosen_is_not_run_twice() -> None:
    found = RECIPES.chosen(CHOSEN | {PAINT.name: 1e-5})
    assert found.paint == RECIPES.paint


def test_the_rest_of_a_recipe_stays() -> None:
    before, after = methods(RECIPES), methods(RECIPES.chosen(CHOSEN))
    pairs = [(one, two) for one in before for two in after if type(one) is type(two) and one.variant == two.variant]
    assert pairs
    for one, two in pairs:
        assert (one.recipe.epochs, one.recipe.optimizer, one.recipe.weight_decay) == (
            two.recipe.epochs,
            two.recipe.optimizer,
            two.recipe.weight_decay,
        )


def test_at_scale_paper_paint_and_adapters_train_as_their_code_does() -> None:
    recipes = paper_recipes(Options(table="table2", scale="paper"))
    steps = 50 * 8144 // 128  # Cars
    for recipe in recipes.paint:
        rates = [rate_factor(step, steps, recipe) for step in range(steps)]
        assert rates.index(1.0) == 499
        assert recipe.decay_all and recipe.weight_decay == 0.1
        small = [rate_factor(step, 400, recipe) for step in range(400)]  # Flowers
        assert small.index(1.0) == 199
    assert recipes.adapters.decay_all and recipes.adapters.weight_decay == 1e-4
