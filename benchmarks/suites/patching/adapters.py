"""The adapter study: every method in the configuration that its search chose, one for all tasks of a net."""

import shlex
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from benchmarks.methods.base import Method
from benchmarks.records.collected import State, rows_so_far, state_of
from benchmarks.records.configurations import search_of
from benchmarks.records.names import ADAPTERS, ADAPTERS_SEARCH
from benchmarks.suites.patching.adapters_choice import Choice, Scores, best, choose, scores_of
from benchmarks.suites.patching.adapters_search import DEFAULT_DELTA, searched
from benchmarks.suites.patching.searched import Searched
from benchmarks.suites.patching.spec import RunSpec, run_of
from benchmarks.suites.patching.world import TABLE2_ARCHITECTURES
from benchmarks.worlds.world import World

BEST = 5
LONG = 3
"""Times the usual epochs: 30 at scale local."""


def adapters(world: World, seeds: int) -> list[RunSpec]:
    """Study of adapters: every method whose search is complete, in its best configuration on validation data."""
    return _runs(
        world, {net: [each.method for each in choice.chosen] for net, choice in _choices(world).items()}, seeds
    )


def adapters_best(world: World, seeds: int) -> list[RunSpec]:
    """Study of adapters, larger images: the five best methods on validation data and the default Delta."""
    return _runs(world, {net: _best(choice) for net, choice in _choices(world).items()}, seeds)


def adapters_long(world: World, seeds: int) -> list[RunSpec]:
    """Study of adapters, longer: the same methods in the same configurations, trained three times as long."""
    methods = {net: [_longer(method) for method in _best(choice)] for net, choice in _choices(world).items()}
    return _runs(world, methods, seeds)


def awaited(world: World) -> list[str]:
    """A sentence for every net some of whose methods cannot run because their search is incomplete."""
    return [
        f"{len(choice.incomplete)} of {len(choice.incomplete) + len(choice.chosen)} methods on {net} wait for their "
        f"search ({', '.join(choice.incomplete)}); go on with it: {_search_command(world, net)}"
        for net, choice in _choices(world).items()
        if choice.incomplete
    ]


def _choices(world: World) -> dict[str, Choice]:
    """By architecture, from the rows that are below the world's results folder now."""
    results = world.env.results
    state = state_of(results)
    task = next(iter(world.tasks))
    choices = {}
    for architecture, weights in world.among(TABLE2_ARCHITECTURES).items():
        methods = [_suiting(each, architecture) for each in searched(world.recipes)]
        methods = [each for each in methods if each.configurations]
        probe = run_of(world, architecture=architecture, task=task, method=methods[0].configurations[0], seed=0)
        choices[architecture] = choose(_scores(results, state, architecture, weights, probe.protocol), methods)
    return choices


@lru_cache(maxsize=32)
def _scores(results: Path, state: State, architecture: str, weights: str, protocol: str) -> Scores:  # noqa: ARG001
    rows = rows_so_far(results)
    return scores_of(search_of(rows, architecture=architecture, weights=weights, protocol=protocol))


def _suiting(each: Searched, architecture: str) -> Searched:
    return replace(each, configurations=tuple(method for method in each.configurations if method.suits(architecture)))


def _best(choice: Choice) -> list[Method]:
    leading = best(choice, BEST)
    default = [each for each in choice.chosen if each.searched.name == DEFAULT_DELTA and each not in leading]
    return [each.method for each in (*leading, *(default if leading else ()))]


def _longer(method: Method) -> Method:
    return replace(method, recipe=replace(method.recipe, epochs=LONG * method.recipe.epochs))


def _runs(world: World, methods: dict[str, list[Method]], seeds: int) -> list[RunSpec]:
    """Seeds come first, so that a study that is cut short has whole repetitions; the base task is left out."""
    return [
        run_of(world, suite=ADAPTERS, architecture=architecture, task=task, method=method, seed=seed, base=False)
        for seed in range(seeds)
        for architecture, chosen in methods.items()
        for task in world.tasks
        for method in chosen
    ]


def _search_command(world: World, architecture: str) -> str:
    """What goes on with the search, with the user's own words for what makes a run another run."""
    options = world.options
    own: Iterable[tuple[str, object]] = (
        ("--weights", options.weights),
        ("--data-root", options.data_root),
        *(("--task", task) for task in options.task),
        ("--image-size", options.image_size),
        ("--epochs", options.epochs),
        ("--views", options.views),
        ("--micro-batch", options.micro_batch),
        ("--results", options.results),
    )
    words = [word for flag, value in own if value is not None for word in (flag, str(value))]
    command = ["python", "-m", "benchmarks", "run", ADAPTERS_SEARCH, "--scale", world.scale, "--arch", architecture]
    return shlex.join([*command, *words])
