"""Recipes of a scale: one schedule for all methods, learning rates by method, with what the options say of them."""

from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, TypeVar

from benchmarks.worlds.options import Options
from delta_core.training.errors import UserError
from delta_core.training.recipe import GATES_LR, FeatureDtype, Recipe

LOCAL_EPOCHS = Recipe().epochs


@dataclass(frozen=True, kw_only=True)
class Recipes:
    """Recipes of one scale: one schedule, learning rates by method."""

    head: Recipe
    """FC-only."""
    delta: Recipe
    """Delta-Networks as this library has them."""
    gates: Recipe
    """Delta-Networks with gates alone, the literal reading of the paper among them."""
    finetune: Recipe | None
    """Full fine-tuning as a run of its own, where PAINT (which is that at alpha = 1) costs too much to be the rule."""
    adapters: Recipe
    """Series and parallel residual adapters: SGD whose rate falls at 2/3 and 5/6 (srebuffi/residual_adapters)."""
    tuning: Recipe
    """Methods that the paper does not have: norm tuning, BitFit, SSF, LoRA, IA3."""
    paint: tuple[Recipe, ...]
    """Both learning-rate arms: 1e-3 is PAINT's code default, 1e-5 its README's (the paper does not say which)."""


DELTA_LR = 5e-3
"""Of patches with maps on slim nets, and where there are many steps; a folder of images has few, see `Recipe.lr`."""


def recipes_of(
    *,
    epochs: int,
    views: int,
    batch_size: int,
    weight_decay: float,
    feature_dtype: FeatureDtype = "float32",
    delta_lr: float = DELTA_LR,
) -> Recipes:
    """One schedule for all methods; learning rates chosen on validation data (delta_core/DECISIONS.md)."""
    if feature_dtype != "float32" and not views:
        raise UserError(
            f"--feature-dtype {feature_dtype} rounds stored features, and fresh views are never stored; pass --views 1."
        )
    common = Recipe(
        epochs=epochs,
        views=views,
        feature_dtype=feature_dtype,
        batch_size=batch_size,
        lr=1e-3,
        head_lr=1e-3,
        weight_decay=weight_decay,
    )
    return Recipes(
        head=replace(common, lr=3e-3, head_lr=3e-3),
        delta=replace(common, lr=delta_lr, head_lr=3e-3),
        gates=replace(common, lr=GATES_LR, head_lr=3e-3),
        finetune=None,
        adapters=replace(
            common,
            optimizer="sgd",
            lr=0.1,
            head_lr=0.1,
            weight_decay=1e-4,
            milestones=(2 / 3, 5 / 6),
            warmup_steps=0,
            clip_norm=None,
        ),
        tuning=replace(common, lr=3e-3, head_lr=3e-3),
        # PAINT's own head is a frozen text head; a new one learns nothing at 1e-5, so it keeps the usual rate.
        paint=(common, replace(common, lr=1e-5, head_lr=3e-3)),
    )


def local_recipes(*, epochs: int = LOCAL_EPOCHS, views: int = 1, feature_dtype: FeatureDtype = "float32") -> Recipes:
    """Recipes for folders of one's own images: those of `delta-patch fit`."""
    usual = Recipe()
    recipes = recipes_of(
        epochs=epochs,
        views=views,
        feature_dtype=feature_dtype,
        batch_size=usual.batch_size,
        weight_decay=usual.weight_decay,
        delta_lr=usual.lr,
    )
    return replace(recipes, finetune=replace(recipes.head, lr=3e-4))


def asked(options: Options, *, epochs: int, views: int) -> dict[str, Any]:
    """What the options say of a recipe, with a scale's own numbers where they say nothing."""
    return {
        "epochs": options.epochs or epochs,
        "views": views if options.views is None else options.views,
        "feature_dtype": options.feature_dtype,
    }


Trained = TypeVar("Trained")


def cut_to(steps: int, recipes: Trained) -> Trained:
    """The same with so many steps, one an epoch; `recipes` is a recipe, or holds some in its fields."""
    if isinstance(recipes, Recipe):
        return replace(recipes, epochs=steps, steps_per_epoch=1)
    if isinstance(recipes, tuple):
        return tuple(cut_to(steps, each) for each in recipes)  # type: ignore[return-value]
    if is_dataclass(recipes):
        cut = {each.name: cut_to(steps, getattr(recipes, each.name)) for each in fields(recipes)}
        return replace(recipes, **cut)  # type: ignore[type-var]
    return recipes


def paper_recipes(options: Options) -> Recipes:
    """50 epochs for every method (paper, Section 3), but 120 for adapters, as their code has it."""
    recipes = recipes_of(**asked(options, epochs=50, views=0), batch_size=128, weight_decay=0.1)
    return replace(recipes, adapters=replace(recipes.adapters, epochs=options.epochs or 120))
