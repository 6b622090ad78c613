"""The search of learning rates for Tables 1 and 2: four for every method, compared on validation data.

What a scale's search chose stands in its recipes (`benchmarks.worlds.recipes.Recipes.rates`), as a person reads it from
`python -m reports rates`.
"""

from benchmarks.methods.delta import DeltaNetworks
from benchmarks.methods.fc_only import FcOnly
from benchmarks.methods.listing import JOINING, Joining
from benchmarks.methods.paint import Paint
from benchmarks.methods.readings import READINGS
from benchmarks.records.names import RATES
from benchmarks.suites.patching.searched import Searched, arm, rated, rated_heads
from benchmarks.suites.patching.spec import RunSpec, run_of
from benchmarks.suites.patching.world import TABLE1_ARCHITECTURES
from benchmarks.worlds.recipes import Recipes
from benchmarks.worlds.world import TaskSet, World

FROZEN_RATES = (1e-3, 3e-3, 1e-2, 3e-2)
"""Of heads, and of parts beside a frozen net."""
WHOLE_NET_RATES = (1e-5, 1e-4, 3e-4, 1e-3)
"""Where the whole net trains: both rates of PAINT's code, and two between them."""
SGD_RATES = (1e-2, 3e-2, 1e-1, 3e-1)
"""Around the 0.1 of the residual adapters' code."""

RATES_TASKS = TaskSet(
    embedded=("mnist5k", "signs", "photos"),
    paper=("stl10", "gtsrb", "aircraft"),
    real=("real:solar_cells", "real:mnist5k", "real:photos"),
)
"""Half of the tasks: what was chosen on them serves the others too."""


def rates(world: World, seeds: int) -> list[RunSpec]:  # noqa: ARG001
    """Search of learning rates: every method at every rate on the first net of the scale, with one seed."""
    return [
        run_of(
            world,
            suite=RATES,
            architecture=architecture,
            task=task,
            method=method,
            seed=0,
            # PAINT's alpha trades the base for the task; all others are compared on the task alone.
            base=each.name == Paint.name,
        )
        for architecture in world.among(TABLE1_ARCHITECTURES)
        for each in searched(world.recipes)
        for method in each.configurations
        for task in world.tasks
    ]


def searched(recipes: Recipes) -> list[Searched]:
    """Every method of Tables 1 and 2, four rates each; Delta with four modules in each of its readings."""
    return [
        rated_heads(FcOnly, recipes.head, FROZEN_RATES),
        Searched(name=Paint.name, configurations=tuple(Paint(recipe=recipes.paint_at(lr)) for lr in WHOLE_NET_RATES)),
        *(_joining(each, recipes) for each in JOINING),
        *(
            arm(rated(DeltaNetworks, recipes.delta[reading], FROZEN_RATES, config=config(), reading=reading), reading)
            for reading, config in READINGS.items()
        ),
    ]


def _joining(each: Joining, recipes: Recipes) -> Searched:
    recipe = recipes.of(each)
    if each.recipe == "head":
        return rated_heads(each.load(), recipe, FROZEN_RATES)
    return rated(each.load(), recipe, SGD_RATES if each.recipe == "adapters" else FROZEN_RATES)
