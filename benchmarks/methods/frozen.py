"""Train and measure a patch on a backbone that must not change: shared by FC-only and Delta-Networks."""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from benchmarks.methods.base import EVAL_SPLITS, Cell, Measurement, Outcome
from delta_core import DeltaConfig, DeltaModel, backbone_fingerprint
from delta_core.training.data.splits import Part, Split
from delta_core.training.patch import train_patch
from delta_core.training.prefix_features import PrefixFeatures
from delta_core.training.recipe import Recipe

TASK = "task"

SHARE_OF_FULL_TRAINING = {0: 1 / 3, 1: 0.42, 2: 0.50, 4: 0.75}
"""Number of Delta-modules -> cost of a step over that of training the whole net: forward a third, backward down to the
first module; assumed."""


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A patch that was trained on a cell."""

    cell: Cell
    model: DeltaModel
    """With the patch active."""
    features: PrefixFeatures
    suffix: nn.Module
    steps: int
    train_s: float

    def features_of(self, part: Part) -> Split:
        """A split of the cell's task as the suffix sees it."""
        return self.features.of(self.cell.task.named(part))

    def measure(self, suffix: nn.Module, **where: Any) -> tuple[Measurement, ...]:
        """Top-1 of the patched part of a net on the task's held-out and test images."""
        task = replace(self.cell.task, val=self.features_of("val"), test=self.features_of("test"))
        seen = replace(self.cell, task=task)
        return tuple(seen.measure_task(suffix, split, **where) for split in EVAL_SPLITS)


def measure_patch(cell: Cell, config: DeltaConfig | None, recipe: Recipe) -> Outcome:
    """Train a patch (`config=None`: the head alone) and prove that the base stayed as it was.

    With fixed views what the frozen prefix puts out comes from the store; fresh views go through the whole model.
    """
    return outcome_of(train_cell(cell, config, recipe))


def train_cell(cell: Cell, config: DeltaConfig | None, recipe: Recipe) -> Trained:
    """Train a patch on a fresh copy of the cell's backbone."""
    started = cell.stages.clock.seconds()
    model = DeltaModel(cell.new_backbone())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(cell.init_seed)
        model.add_patch(TASK, num_classes=cell.task.classes, config=config)
    features = features_of(cell, model, recipe)
    steps = train_patch(
        model,
        features,
        cell.task.named("train"),
        recipe,
        cell.fabric,
        seed=cell.order_seed,
        checkpoint=cell.stages.training("training"),
    )
    _, suffix = model.split_at_first_patch()
    train_s = cell.stages.clock.seconds() - started
    return Trained(cell=cell, model=model, features=features, suffix=suffix, steps=steps, train_s=train_s)


def features_of(cell: Cell, model: DeltaModel, recipe: Recipe) -> PrefixFeatures:
    """Outputs of the frozen part of a model; from the store where training reads them in every epoch.

    With fresh views a run reads those of held-out and test images once, which takes a pass over their decoded pixels
    and up to five times less room.
    """
    store = cell.store if recipe.views else replace(cell.store, limit_gb=0)
    return PrefixFeatures(model=model, store=store, device=cell.fabric.device, dtype=recipe.feature_dtype)


def outcome_of(trained: Trained) -> Outcome:
    """Measure a trained patch on its task, and the base below it."""
    counts = trained.model.count_parameters()
    with trained.model.disable_patches():
        base, equal = base_after(trained.cell, trained.model)
    return Outcome(
        measurements=(*trained.cell.before(), *base, *trained.measure(trained.suffix)),
        params_delta=counts.delta,
        params_head=counts.head,
        steps=trained.steps,
        train_s=trained.train_s,
        backbone_sha_after=backbone_fingerprint(trained.model.backbone),
        base_logits_equal=equal,
    )


def base_after(cell: Cell, net: nn.Module) -> tuple[tuple[Measurement, ...], bool]:
    """Base accuracy of a net without its patch, and whether logits are bit-identical to those before training.

    Without base data the proof is made on the task's own test images.
    """
    if cell.base_logits is None:
        return (), torch.equal(cell.logits(net, "test"), cell.logits(cell.new_backbone(), "test"))
    now = cell.logits(net, "test", base=True)
    return (cell.measure_base(now, "test"),), torch.equal(now, cell.base_logits)
