"""Recipes of a scale, with what the options say of them."""

from dataclasses import replace
from typing import Any

from benchmarks.recipes import Recipes, recipes_of
from benchmarks.worlds.options import Options


def asked(options: Options, *, epochs: int, views: int) -> dict[str, Any]:
    """What the options say of a recipe, with a scale's own numbers where they say nothing."""
    return {
        "epochs": options.epochs or epochs,
        "views": views if options.views is None else options.views,
        "feature_dtype": options.feature_dtype,
    }


def paper_recipes(options: Options) -> Recipes:
    """50 epochs for every method (paper, Section 3), but 120 for adapters, as their code has it."""
    recipes = recipes_of(**asked(options, epochs=50, views=0), batch_size=128, weight_decay=0.1)
    return replace(recipes, adapters=replace(recipes.adapters, epochs=options.epochs or 120))
