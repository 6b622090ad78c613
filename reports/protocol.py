"""What the paper's runs were made with, as far as it or its sources say; our rows are held against it."""

import json
from typing import Any

import pandas as pd

from benchmarks.records import names

PATCHING = {
    "image_size": 224,
    "method.recipe.epochs": 50,
    "method.recipe.batch_size": 128,
    "method.recipe.weight_decay": 0.1,
    "method.recipe.warmup_steps": 500,
    "method.recipe.clip_norm": 1.0,
    "method.recipe.optimizer": "adamw",
    "method.recipe.views": 0,
    "method.recipe.feature_dtype": "float32",
}
"""50 epochs: paper Sec. 3; the rest: mlfoundations/patching, whose recipe it says it follows. Views 0 = fresh crops."""

TRANSFER = {
    "image_size": 224,
    "min_crop_area": 0.2,
    "with_val": True,
    "method.recipe.epochs": 20,
    "method.recipe.steps_per_epoch": 500,
    "method.recipe.batch_size": 48,
    "method.recipe.lr": 1e-3,
    "method.recipe.head_lr": 1e-2,
    "method.recipe.milestones": [0.6],
    "method.recipe.optimizer": "sgd",
    "method.recipe.nesterov": True,
    "method.recipe.views": 0,
}
"""Scripts of thuml/Transfer-Learning-Library, from whose README the paper's baseline rows are taken."""

PROTOCOLS: dict[str, dict[str, object]] = {names.PATCHING: PATCHING, names.TABLE8: PATCHING, names.TRANSFER: TRANSFER}
"""Suite -> configuration."""


def departures(suite: str, config: str) -> pd.DataFrame:
    """Where the configuration of a run (JSON, as in its row) differs from the paper's protocol.

    Returns:
        Columns `setting`, `ours`, `paper`; a setting that the run does not have is blank in `ours`.
    """
    ours = flat(json.loads(config))
    lines = [
        {"setting": name, "ours": ours.get(name, ""), "paper": value}
        for name, value in PROTOCOLS.get(suite, {}).items()
        if ours.get(name) != value
    ]
    return pd.DataFrame(lines, columns=["setting", "ours", "paper"])


def flat(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings under dotted names.

    >>> flat({"a": {"b": 1}, "c": 2})
    {'a.b': 1, 'c': 2}
    """
    found: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, dict):
            found |= flat(value, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = value
    return found
