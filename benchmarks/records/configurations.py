"""What tells the configurations of one method apart, read from the config that rows carry; no torch."""

import json
from collections.abc import Mapping
from typing import Any

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
