"""Train and measure a patch on a backbone that must not change: shared by FC-only and Delta-Networks."""

import time
from dataclasses import replace

import torch
from torch import nn

from benchmarks.data.splits import eval_batches
from benchmarks.engine import fit
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
    head = model.patches[TASK].head
    assert isinstance(head, nn.Module)
    _, suffix = model.split_at_first_patch()
    device = cell.fabric.device
    features = PrefixFeatures(model=model, task=cell.task, store=cell.store, device=device, dtype=recipe.feature_dtype)
    module, train = (suffix, features.of("train")) if recipe.views else (model, cell.task.train)
    if config and config.norm_start == "identity":
        model.calibrate(eval_batches(train, device), from_prefix=module is suffix)
    steps = fit(module, head, train, recipe, cell.fabric, seed=cell.order_seed)
    train_s = time.perf_counter() - started

    counts = model.count_parameters()
    seen = replace(cell, task=replace(cell.task, val=features.of("val"), test=features.of("test")))
    task = tuple(seen.measure_task(suffix, split) for split in EVAL_SPLITS)
    base, equal = _base_after(cell, model)
    return Outcome(
        measurements=(*cell.before(), *base, *task),
        params_delta=counts.delta,
        params_head=counts.head,
        steps=steps,
        train_s=train_s,
        backbone_sha_after=backbone_fingerprint(backbone),
        base_logits_equal=equal,
    )


def _base_after(cell: Cell, model: DeltaModel) -> tuple[tuple[Measurement, ...], bool]:
    """Base accuracy with patches off, and whether the logits are bit-identical to those before training.

    Without base data the proof is made on the task's own test images.
    """
    with model.disable_patches():
        if cell.base_logits is None:
            now = cell.logits(model, "test")
            return (), torch.equal(now, cell.logits(cell.new_backbone(), "test"))
        now = cell.logits(model, "test", base=True)
    return (replace(cell.measure_base(now, "test"), phase="after"),), torch.equal(now, cell.base_logits)
