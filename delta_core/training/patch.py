"""Train a patch on a backbone that must not change: on stored features of its frozen part where there are any."""

from typing import TYPE_CHECKING

from torch import nn

from delta_core import DeltaModel
from delta_core.training.checkpoint import Checkpoint
from delta_core.training.data.splits import NamedSplit, eval_batches, split_in_epoch
from delta_core.training.engine import OnEpoch, train_module
from delta_core.training.history import Watch
from delta_core.training.objective import Objective
from delta_core.training.prefix_features import PrefixFeatures
from delta_core.training.recipe import Recipe

if TYPE_CHECKING:
    from lightning_fabric import Fabric


def train_patch(
    model: DeltaModel,
    features: PrefixFeatures,
    images: NamedSplit,
    recipe: Recipe,
    fabric: "Fabric",
    *,
    seed: int,
    objective: Objective | None = None,
    watch: Watch | None = None,
    on_epoch: OnEpoch | None = None,
    checkpoint: Checkpoint | None = None,
) -> int:
    """Calibrate and train the active patch of a model; returns the number of optimiser steps.

    With fixed views (`recipe.views >= 1`) only the suffix is trained, on features of the frozen prefix. All else is as
    in `engine.train_module`.
    """
    patch = model.patch()
    trained: nn.Module = model
    train = images.images
    if recipe.views:
        train, trained = features.of(images), model.split_at_first_patch()[1]
    if patch.waits_for_calibration:  # else a second training goes on from where the first one ended
        first = split_in_epoch(train, 0, seed)
        model.calibrate(eval_batches(first, fabric.device), from_prefix=trained is not model)
    return train_module(
        trained,
        patch.head,
        train,
        recipe,
        fabric,
        seed=seed,
        objective=objective,
        watch=watch,
        on_epoch=on_epoch,
        checkpoint=checkpoint,
        learned=patch,
    )
