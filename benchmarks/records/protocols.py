"""Protocols of rows in the words of the options that they were measured with.

A row's protocol is `word=value,...`. Runs that belong into one table may differ in some words by design (the share of
the data, the longer schedule of one method); what is left is their setting: what `--views 8` changes for all of them.
Rows of two settings never stand in one table.
"""

from collections.abc import Mapping

import pandas as pd

from benchmarks.records.names import (
    ADAPTERS,
    ADAPTERS_SEARCH,
    DENSE,
    DOMAIN_ADAPTATION,
    TABLE12,
    TABLE13,
    TOP5_TASKS,
    TRANSFER,
)
from benchmarks.records.rows import Scale

FACTS = ["suite", "scale", "method", "task", "protocol"]
"""Columns of a row that its setting follows from."""

BESIDE = ("train", "train+val", "adapt", "base")
"""Words in which runs of one table differ by design: Table 5's share of the data, ADDA's own steps, and the transform
in which a net was accepted as a base."""

_USUAL: Mapping[Scale, str] = {
    "real": "px=96,views=1,epochs=6",
    "embedded": "px=32,views=1,epochs=6",
    "local": "px=224,views=1,epochs=10",
    "paper": "px=224,views=fresh,epochs=50",
}
_USUAL_OF_SUITE: Mapping[str, Mapping[Scale, str]] = {
    TRANSFER: {
        "real": "px=96,crop=0.2,steps=10x10",
        "embedded": "px=32,crop=0.6,steps=10x60",
        "local": "px=224,crop=0.2,steps=10x10",
        "paper": "px=224,crop=0.2,steps=20x500",
    },
    DOMAIN_ADAPTATION: {
        "embedded": "px=32,net=slim,batch=64,steps=480",
        "local": "px=32,net=slim,batch=64,steps=200",
        "paper": "px=32,net=full,batch=128,steps=10000",
    },
    DENSE: {
        "embedded": "heads=narrow,epochs=config",
        "local": "heads=stock,epochs=config",
        "paper": "heads=stock,epochs=config",
    },
}
"""What a scale measures where no option says otherwise. Tests compare it with the plans of all tables."""

_FLAGS = {
    "px": "--image-size",
    "views": "--views",
    "epochs": "--epochs",
    "steps": "--steps",
    "features": "--feature-dtype",
    "micro": "--micro-batch",
    "heads": "--heads",
}
_SCRATCH_FACTOR = 4
"""Epochs from scratch over those of patching (`benchmarks.suites.patching.from_scratch`)."""
_SMALL_IMAGES = ("cifar10", "cifar100")
_SGD_ADAPTERS = ("parallel_adapters", "series_adapters")
_SGD_ADAPTERS_EPOCHS = "120"
"""Of their code, which scale paper keeps where the options name no other number."""


def usual_setting(suite: str, scale: Scale) -> str:
    """What the runs of a suite are measured with where no option says otherwise."""
    return _USUAL_OF_SUITE.get(suite, _USUAL).get(scale, "")


def settings_of(rows: pd.DataFrame) -> "pd.Series[str]":
    """The setting of each row, from its `FACTS`."""
    facts = list(rows[FACTS].itertuples(index=False, name=None))
    found = {each: _setting(*each) for each in set(facts)}
    return pd.Series([found[each] for each in facts], index=rows.index, dtype="str")


def is_usual(setting: str, suite: str, scale: Scale) -> bool:
    """Whether a setting is what the scale measures by itself; the order of words does not matter."""
    return _words(setting) == _words(usual_setting(suite, scale))


def flags_of(setting: str, suite: str, scale: Scale) -> tuple[str, ...] | None:
    """Options with which runs of this setting are measured; none for the usual one.

    Returns:
        Flags and values in turn; None if the setting does not say all that options may change (rows of an older
        version), or says what no option changes.
    """
    usual, asked = _words(usual_setting(suite, scale)), _words(setting)
    if not usual or not usual.keys() <= asked.keys():
        return None
    found: list[str] = []
    for word, value in asked.items():
        if value != usual.get(word):
            option = _option(word, value, usual.get(word, ""))
            if option is None:
                return None
            found += option
    return tuple(found)


def _setting(suite: str, scale: Scale, method: str, task: str, protocol: str) -> str:
    words = {word: value for word, value in _words(protocol).items() if word not in BESIDE}
    from_scratch = suite in (TABLE12, TABLE13)
    if from_scratch and task not in TOP5_TASKS and "epochs" in words:
        words["epochs"] = _a_share(words["epochs"])
    if suite == TABLE13 and scale == "paper" and task in _SMALL_IMAGES and words.get("px") == "32":
        words["px"] = _words(usual_setting(suite, scale))["px"]  # their own size, whatever the others have
    longer = method in _SGD_ADAPTERS and suite not in (ADAPTERS, ADAPTERS_SEARCH)
    if scale == "paper" and longer and words.get("epochs") == _SGD_ADAPTERS_EPOCHS:
        words["epochs"] = _words(usual_setting(suite, scale))["epochs"]
    return ",".join(f"{word}={value}" if value else word for word, value in words.items())


def _words(protocol: str) -> dict[str, str]:
    """Words of a protocol with their values; one without a value has an empty one."""
    parts = (part.partition("=") for part in protocol.split(",") if part)
    return {word: value for word, _, value in parts}


def _a_share(length: str) -> str:
    """Length of a training from scratch -> that of patching, from which it was made: `24` -> `6`, `20x1` -> `5x1`."""
    epochs, times, steps = length.partition("x")
    share, rest = divmod(int(epochs), _SCRATCH_FACTOR) if epochs.isdigit() else (0, 1)
    return length if rest else f"{share}{times}{steps}"


def _option(word: str, value: str, usual: str) -> list[str] | None:
    """The option behind a word that is not the usual one; None if there is none."""
    epochs, times, steps = value.partition("x")
    if times and steps == "1":
        return ["--steps", epochs]
    if times:
        return ["--epochs", epochs] if steps == usual.partition("x")[2] else None
    if word not in _FLAGS:
        return None
    return [_FLAGS[word], "0" if value == "fresh" else value]
