"""Configurations of a method, read from the config of its rows: what tells them apart, and which search has them."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from benchmarks.records.names import ADAPTERS_SEARCH

SCHEDULE = ("epochs", "views", "feature_dtype")
"""Fields of a recipe that all methods of a study share; a configuration keeps its name under another schedule."""


def configuration(method: Mapping[str, Any]) -> str:
    """Key-sorted JSON of a method as a run's config has it, its schedule left out.

    >>> configuration({"type": "Lora", "rank": 8, "recipe": {"lr": 0.01, "epochs": 3}})
    '{"rank":8,"recipe":{"lr":0.01},"type":"Lora"}'
    """
    recipe = {name: value for name, value in method["recipe"].items() if name not in SCHEDULE}
    return json.dumps({**method, "recipe": recipe}, sort_keys=True, separators=(",", ":"))


def configuration_of(config: str) -> str:
    """That of a run, from the `config` of its rows."""
    return configuration(json.loads(config)["method"])


def search_of(rows: pd.DataFrame, *, architecture: str, weights: str, protocol: str) -> pd.DataFrame:
    """Rows of the search that a net's configurations are chosen from.

    That is the search of this protocol, or, for runs of another image size or length that were not searched on their
    own, the one with most rows.
    """
    rows = rows[(rows["suite"] == ADAPTERS_SEARCH) & (rows["architecture"] == architecture)]
    rows = rows[rows["weights"] == weights]
    counts = rows["protocol"].value_counts().sort_index()
    if counts.empty:
        return rows
    return rows[rows["protocol"] == (protocol if protocol in counts else counts.idxmax())]


def told_apart(methods: Sequence[Mapping[str, Any]]) -> list[str]:
    """For each of several methods what no other field says: the values of the fields in which they differ.

    >>> told_apart([{"rank": 8, "recipe": {"lr": 0.01, "views": 1}}, {"rank": 32, "recipe": {"lr": 0.1, "views": 1}}])
    ['rank 8, lr 0.01', 'rank 32, lr 0.1']
    """
    fields = [_leaves(method) for method in methods]
    names = dict.fromkeys(name for each in fields for name in each)
    differing = [name for name in names if len({json.dumps(each.get(name)) for each in fields}) > 1]
    return [
        ", ".join(f"{name.rpartition('.')[2]} {_text(each[name])}" for name in differing if each.get(name) is not None)
        for each in fields
    ]


def _leaves(method: Mapping[str, Any], inside: str = "") -> dict[str, Any]:
    """Values by dotted name, the recipe's last."""
    found: dict[str, Any] = {}
    for name, value in sorted(method.items(), key=lambda item: item[0] == "recipe"):
        found |= _leaves(value, f"{inside}{name}.") if isinstance(value, Mapping) else {f"{inside}{name}": value}
    return found


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
