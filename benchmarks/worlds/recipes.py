"""Recipes of a scale: one schedule for all methods, learning rates by method, with what the options say of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any, TypeVar

from benchmarks.methods.listing import DELTA, FC_ONLY, PAINT, Joining
from benchmarks.records.names import GATES_ALONE, LITERAL, MAPS
from benchmarks.worlds.options import Options
from delta_core.training.errors import UserError
from delta_core.training.recipe import GATES_LR, FeatureDtype, Recipe

LOCAL_EPOCHS = Recipe().epochs


@dataclass(frozen=True, kw_only=True)
class Recipes:
    """Recipes of one scale: one schedule, learning rates by method."""

    head: Recipe
    """FC-only."""
    delta: Mapping[str, Recipe]
    """Delta-Networks, by reading (`benchmarks.methods.readings`)."""
    finetune: Recipe | None
    """Full fine-tuning as a run of its own, where PAINT (which is that at alpha = 1) costs too much to be the rule."""
    adapters: Recipe
    """Series and parallel residual adapters: SGD whose rate falls at 2/3 and 5/6 (srebuffi/residual_adapters)."""
    tuning: Recipe
    """Methods that the paper does not have: norm tuning, BitFit, SSF, LoRA, IA3."""
    paint: tuple[Recipe, ...]
    """Both learning-rate arms: 1e-3 is PAINT's code default, 1e-5 its README's (the paper does not say which); then
    the one that a search chose, if that is another."""
    rates: Mapping[str, float] = field(default_factory=dict)
    """What a search chose for the methods of `tuning`, `adapters` and `head` that are not named above, by their name in
    rows. The others have the rate of their recipe."""

    def of(self, method: Joining) -> Recipe:
        """What a method of Table 1 trains with."""
        recipe: Recipe = getattr(self, method.recipe)
        rate = self.rates.get(method.name)
        if rate is None:
            return recipe
        return replace(recipe, head_lr=rate) if method.recipe == "head" else replace(recipe, lr=rate)

    def paint_at(self, lr: float) -> Recipe:
        """PAINT's recipe at a rate: one of its arms, or the last with that rate."""
        return next((each for each in self.paint if each.lr == lr), replace(self.paint[-1], lr=lr))

    def chosen(self, rates: Mapping[str, float]) -> "Recipes":
        """The same with what a search chose: rates by the name of a method, an arm of it behind a colon.

        The rate is that of a method's own parts; heads beside them keep theirs.
        """
        rates = dict(rates)
        delta = {
            reading: replace(recipe, lr=rates.pop(f"{DELTA.name}:{reading}")) for reading, recipe in self.delta.items()
        }
        paint = self.paint_at(rates.pop(PAINT.name))
        return replace(
            self,
            delta=delta,
            head=replace(self.head, head_lr=rates.pop(FC_ONLY.name)),
            paint=self.paint + ((paint,) if paint not in self.paint else ()),
            rates=rates,
        )


DELTA_LR = 5e-3
"""Of patches with maps on slim nets, and where there are many steps; a folder of images has few, see `Recipe.lr`."""


def recipes_of(
    *,
    epochs: int,
    views: int,
    batch_size: int,
    weight_decay: float,
    feature_dtype: FeatureDtype = "float32",
    micro_batch: int | None = None,
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
        micro_batch=micro_batch,
        lr=1e-3,
        head_lr=1e-3,
        weight_decay=weight_decay,
    )
    return Recipes(
        head=replace(common, lr=3e-3, head_lr=3e-3),
        delta={
            reading: replace(common, lr=lr, head_lr=3e-3)
            for reading, lr in ((MAPS, delta_lr), (GATES_ALONE, GATES_LR), (LITERAL, GATES_LR))
        },
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


def local_recipes(
    *,
    epochs: int = LOCAL_EPOCHS,
    views: int = 1,
    feature_dtype: FeatureDtype = "float32",
    micro_batch: int | None = None,
) -> Recipes:
    """Recipes for folders of one's own images: those of `delta-patch fit`."""
    usual = Recipe()
    recipes = recipes_of(
        epochs=epochs,
        views=views,
        feature_dtype=feature_dtype,
        micro_batch=micro_batch,
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
        "micro_batch": options.micro_batch,
    }


Trained = TypeVar("Trained")


def cut_to(steps: int, recipes: Trained) -> Trained:
    """The same with so many steps, one an epoch; `recipes` is a recipe, or holds some in its fields."""
    if isinstance(recipes, Recipe):
        return replace(recipes, epochs=steps, steps_per_epoch=1)
    if isinstance(recipes, tuple):
        return tuple(cut_to(steps, each) for each in recipes)  # type: ignore[return-value]
    if isinstance(recipes, Mapping):
        return {name: cut_to(steps, each) for name, each in recipes.items()}  # type: ignore[return-value]
    if is_dataclass(recipes):
        cut = {each.name: cut_to(steps, getattr(recipes, each.name)) for each in fields(recipes)}
        return replace(recipes, **cut)  # type: ignore[type-var]
    return recipes


def paper_recipes(options: Options) -> Recipes:
    """50 epochs for every method (paper, Section 3); the rest of PAINT's and of the adapters' recipes is their code's.

    Adapters train for 120 epochs, and all of their parameters are decayed: the optimiser of
    srebuffi/residual_adapters keeps the decay of its first 1 x 1 convolution for all that follow (sgd.py). PAINT decays
    all parameters and warms up for 500 steps (mlfoundations/patching); on a small data set, where these would be the
    whole training (400 steps on Flowers), for half of it.
    """
    recipes = recipes_of(**asked(options, epochs=50, views=0), batch_size=128, weight_decay=0.1)
    return replace(
        recipes,
        adapters=replace(recipes.adapters, epochs=options.epochs or 120, decay_all=True),
        paint=tuple(replace(recipe, decay_all=True, warmup_share=0.5) for recipe in recipes.paint),
    )
