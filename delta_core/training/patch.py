"""Train a patch on a backbone that must not change: on stored features of its frozen part where there are any."""

from pathlib import Path
from typing import TYPE_CHECKING

from torch import nn

from delta_core import DeltaModel
from delta_core.training.data.splits import eval_batches
from delta_core.training.engine import OnEpoch, train_module
from delta_core.training.prefix_features import PrefixFeatures
from delta_core.training.recipe import Recipe

if TYPE_CHECKING:
    from lightning_fabric import Fabric


def train_patch(
    model: DeltaModel,
    features: PrefixFeatures,
    recipe: Recipe,
    fabric: "Fabric",
    *,
    seed: int,
    on_epoch: OnEpoch | None = None,
    checkpoint: Path | None = None,
) -> int:
    """Calibrate and train the active patch of a model; returns the number of optimiser steps.

    With fixed views (`recipe.views >= 1`) only the suffix is trained, on features of the frozen prefix. `seed`,
    `on_epoch` and `checkpoint` are those of `engine.train_module`.
    """
    patch = model.patch()
    trained: nn.Module = model
    train = features.task.train
    if recipe.views:
        train, trained = features.of("train"), model.split_at_first_patch()[1]
    if patch.config and patch.config.norm_start == "identity":
        model.calibrate(eval_batches(train, fabric.device), from_prefix=trained is not model)
    return train_module(trained, patch.head, train, recipe, fabric, seed=seed, on_epoch=on_epoch, checkpoint=checkpoint)
