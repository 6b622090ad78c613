"""Train and measure a patch on a backbone that must not change: shared by FC-only and Delta-Networks."""

import time
from dataclasses import replace
from pathlib import Path

import torch
from lightning_fabric import Fabric
from torch import nn

from benchmarks.data.splits import eval_batches
from benchmarks.engine import OnEpoch, fit
from benchmarks.features import PrefixFeatures
from benchmarks.methods.base import EVAL_SPLITS, Cell, Measurement, Outcome
from benchmarks.recipe import Recipe
from delta_core import DeltaConfig, DeltaModel, backbone_fingerprint

TASK = "task"


def measure_patch(cell: Cell, config: DeltaConfig | None, recipe: Recipe) -> Outcome:
    """Train a patch (`config=None`: the head alone) and prove that the base stayed as it was.

    What the frozen prefix puts out for held-out and test images, and for fixed views of training images, comes from
    the store; only fresh views go through the whole model.
    """
    started = time.perf_counter()
    backbone = cell.new_backbone()
    model = DeltaModel(backbone)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(cell.init_seed)
        model.add_patch(TASK, num_classes=cell.task.classes, config=config)
    features = PrefixFeatures(
        model=model, task=cell.task, store=cell.store, device=cell.fabric.device, dtype=recipe.feature_dtype
    )
    steps = train_patch(model, features, recipe, cell.fabric, seed=cell.order_seed)
    train_s = time.perf_counter() - started

    counts = model.count_parameters()
    _, suffix = model.split_at_first_patch()
    seen = replace(cell, task=replace(cell.task, val=features.of("val"), test=features.of("test")))
    task = tuple(seen.measure_task(suffix, split) for split in EVAL_SPLITS)
    with model.disable_patches():
        base, equal = base_after(cell, model)
    return Outcome(
        measurements=(*cell.before(), *base, *task),
        params_delta=counts.delta,
        params_head=counts.head,
        steps=steps,
        train_s=train_s,
        backbone_sha_after=backbone_fingerprint(backbone),
        base_logits_equal=equal,
    )


def train_patch(
    model: DeltaModel,
    features: PrefixFeatures,
    recipe: Recipe,
    fabric: Fabric,
    *,
    seed: int,
    on_epoch: OnEpoch | None = None,
    checkpoint: Path | None = None,
) -> int:
    """Calibrate and train the active patch of a model; returns the number of optimiser steps.

    With fixed views (`recipe.views >= 1`) only the suffix is trained, on features of the frozen prefix. `seed`,
    `on_epoch` and `checkpoint` are those of `engine.fit`.
    """
    patch = model.patch()
    trained: nn.Module = model
    train = features.task.train
    if recipe.views:
        train, trained = features.of("train"), model.split_at_first_patch()[1]
    if patch.config and patch.config.norm_start == "identity":
        model.calibrate(eval_batches(train, fabric.device), from_prefix=trained is not model)
    return fit(trained, patch.head, train, recipe, fabric, seed=seed, on_epoch=on_epoch, checkpoint=checkpoint)


def base_after(cell: Cell, net: nn.Module) -> tuple[tuple[Measurement, ...], bool]:
    """Base accuracy of a net without its patch, and whether logits are bit-identical to those before training.

    Without base data the proof is made on the task's own test images.
    """
    if cell.base_logits is None:
        return (), torch.equal(cell.logits(net, "test"), cell.logits(cell.new_backbone(), "test"))
    now = cell.logits(net, "test", base=True)
    return (cell.measure_base(now, "test"),), torch.equal(now, cell.base_logits)
