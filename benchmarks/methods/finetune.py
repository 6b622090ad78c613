"""Full fine-tuning: every weight of the backbone and a new head; the base pays for it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, cast

from torch import Tensor, nn

from benchmarks.methods.base import EVAL_SPLITS, Cell, Measurement, Method, Outcome, new_head
from delta_core import backbone_fingerprint
from delta_core.families import base_head, feature_size, pool
from delta_core.training.engine import train_module
from delta_core.training.recipe import Recipe


class FineTuned(nn.Module):
    """A backbone that trains as a whole, and the new task's head. Images (B, 3, H, W) -> logits (B, N)."""

    def __init__(self, backbone: nn.Module, classes: int, *, seed: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = new_head(feature_size(backbone), classes, seed, next(backbone.parameters()).device)
        # The base head takes no gradient: it keeps answering the base task from the fine-tuned features.
        base_head(backbone).requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        features = cast(Any, self.backbone).forward_features(x)
        return cast(Tensor, self.head(pool(self.backbone, features)))


def train_all(cell: Cell, recipe: Recipe, stage: str = "training") -> tuple[FineTuned, int, float]:
    """Fine-tune a fresh copy of the backbone; returns model, optimiser steps and seconds."""
    started = cell.stages.clock.seconds()
    model = FineTuned(cell.new_backbone(), cell.task.classes, seed=cell.init_seed)
    steps = train_module(
        model,
        model.head,
        cell.task.train,
        recipe,
        cell.fabric,
        seed=cell.order_seed,
        checkpoint=cell.stages.training(stage),
    )
    model.eval()
    return model, steps, cell.stages.clock.seconds() - started


def trained_params(backbone: nn.Module) -> int:
    """Parameters of a backbone that `FineTuned` trains: all but its own head, which stays as it is."""
    kept = {id(parameter) for parameter in base_head(backbone).parameters()}
    return sum(parameter.numel() for parameter in backbone.parameters() if id(parameter) not in kept)


def tuned_outcome(model: FineTuned, measurements: Iterable[Measurement], steps: int, train_s: float) -> Outcome:
    """Outcome of a method that fine-tuned everything; the paper's parameter count leaves both heads out."""
    return Outcome(
        measurements=tuple(measurements),
        params_delta=trained_params(model.backbone),
        params_head=sum(parameter.numel() for parameter in model.head.parameters()),
        steps=steps,
        train_s=train_s,
        backbone_sha_after=backbone_fingerprint(model.backbone),
        base_logits_equal=None,
    )


@dataclass(frozen=True, kw_only=True)
class FineTune(Method):
    """Fine-tune everything: the upper reference for the task, and what it costs the base."""

    name: ClassVar[str] = "finetune"

    @property
    def variant(self) -> str:
        """The learning rate is the arm."""
        return f"lr={self.recipe.lr:g}"

    def measure(self, cell: Cell) -> Outcome:
        """Fine-tune on the cell's task and measure task and base."""
        model, steps, train_s = train_all(cell, self.recipe)
        base = (cell.measure_base(cell.logits(model.backbone, "test", base=True), "test"),) if cell.base else ()
        task = (cell.measure_task(model, split) for split in EVAL_SPLITS)
        return tuned_outcome(model, (*cell.before(), *base, *task), steps, train_s)
