"""From the rows of a search to one configuration a method: pure functions that read validation data alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from benchmarks.methods.base import Method
from benchmarks.records.configurations import configuration, configuration_of
from benchmarks.suites.patching.searched import Searched
from delta_core.training.identity import plain


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """The configuration of a method that was best on validation data."""

    searched: Searched
    method: Method
    top1: float
    """Validation top-1 in per cent, mean over the tasks of the search."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What the search of one net says of every method."""

    chosen: tuple[Chosen, ...]
    """In the order of the study."""
    incomplete: tuple[str, ...]
    """Methods whose configurations were not all measured on every task of the search: none of them is guessed."""


Scores = Mapping[str, tuple[float, float]]
"""By configuration: validation top-1 in per cent, mean over all tasks that the search has, and trained parameters."""


def scores_of(rows: pd.DataFrame) -> Scores:
    """Of every configuration that was measured on all tasks of its search.

    Args:
        rows: of one search (`benchmarks.records.configurations.search_of`).
    """
    held_out = rows[(rows["split"] == "val") & (rows["column"] == rows["task"]) & (rows["phase"] == "after")]
    held_out = held_out[held_out["metric"] == "top1"]
    tasks = held_out["task"].nunique()
    measured = held_out.assign(configuration=held_out["config"].map(configuration_of)).groupby("configuration")
    found = measured.agg(tasks=("task", "nunique"), top1=("value", "mean"), params=("params_delta", "max"))
    # Rounded, so that the order in which values are added decides nothing.
    return {key: (round(top1, 9), params) for key, n, top1, params in found.itertuples(name=None) if n == tasks}


def choose(scores: Scores, methods: Sequence[Searched]) -> Choice:
    """The best configuration of every method. Of equals the one with fewer parameters, then with the lower rate.

    Args:
        scores: of one search.
        methods: what is searched, with no configuration that does not suit the net.
    """
    chosen, incomplete = [], []
    for each in methods:
        keys = [configuration(plain(method)) for method in each.configurations]
        if not all(key in scores for key in keys):
            incomplete.append(each.name)
            continue
        ranked = [
            (-scores[key][0], scores[key][1], method.recipe.lr, method.recipe.head_lr, place)
            for place, (key, method) in enumerate(zip(keys, each.configurations, strict=True))
        ]
        worst_first, *_, place = min(ranked)
        chosen.append(Chosen(searched=each, method=each.configurations[place], top1=-worst_first))
    return Choice(chosen=tuple(chosen), incomplete=tuple(incomplete))


def best(choice: Choice, count: int) -> tuple[Chosen, ...]:
    """So many methods that keep the base, the best on validation data; none as long as one of them is incomplete."""
    keeping = [each for each in choice.chosen if each.searched.keeps_base]
    return () if choice.incomplete else tuple(sorted(keeping, key=lambda each: -each.top1)[:count])
