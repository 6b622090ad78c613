"""What a search compares: a method and all of its configurations."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.methods.base import Method
from delta_core.training.recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class Searched:
    """A method of a search and all of its configurations."""

    name: str
    """Unique in the search; as in rows, with the arm behind a colon where a method has several."""
    configurations: tuple[Method, ...]
    keeps_base: bool = True
    """Whether the base answers as before when the method's parts are off."""


def rated(kind: type[Method], recipe: Recipe, rates: Iterable[float], **fields: Any) -> Searched:
    """A method at several learning rates of its own parts."""
    found = tuple(kind(recipe=replace(recipe, lr=rate), **fields) for rate in rates)
    return Searched(name=kind.name, configurations=found)


def rated_heads(kind: type[Method], recipe: Recipe, rates: Iterable[float]) -> Searched:
    """A method that trains the head alone, at several rates of it."""
    found = tuple(kind(recipe=replace(recipe, head_lr=rate)) for rate in rates)
    return Searched(name=kind.name, configurations=found)


def arm(found: Searched, name: str) -> Searched:
    """The same under the name of an arm of its method."""
    return replace(found, name=f"{found.name}:{name}")
