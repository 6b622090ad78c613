"""Full fine-tuning: every weight of the backbone and a new head; the base pays for it."""

import time
from dataclasses import dataclass

from torch import Tensor, nn

from benchmarks.engine import fit
from benchmarks.methods.base import Cell, Outcome, new_head
from benchmarks.recipe import Recipe
from delta_core import backbone_fingerprint


class FineTuned(nn.Module):
    """A backbone that trains as a whole, and the new task's head. Images (B, 3, H, W) -> logits (B, N)."""

    def __init__(self, backbone: nn.Module, classes: int, *, seed: int) -> None:
        super().__init__()
        self.backbone = backbone
        features: int = getattr(backbone, "head_hidden_size", None) or backbone.num_features  # type: ignore[assignment]
        self.head = new_head(features, classes, seed, next(backbone.parameters()).device)
        # The base head takes no gradient: it keeps answering the base task from the fine-tuned features.
        backbone.get_classifier().requires_grad_(False)  # type: ignore[operator]

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        features = self.backbone.forward_head(self.backbone.forward_features(x), pre_logits=True)  # type: ignore[operator]
        return self.head(features)  # type: ignore[no-any-return]


def train_all(cell: Cell, recipe: Recipe) -> tuple[FineTuned, int, float]:
    """Fine-tune a fresh copy of the backbone; returns model, optimiser steps and seconds."""
    started = time.perf_counter()
    model = FineTuned(cell.new_backbone(), cell.task.classes, seed=cell.init_seed)
    steps = fit(model, model.head, cell.task.train, recipe, cell.fabric, seed=cell.order_seed)
    model.eval()
    return model, steps, time.perf_counter() - started


def count_trainable(model: FineTuned) -> int:
    """Trainable parameters without the new head (the paper's count for PAINT leaves both heads out)."""
    return sum(parameter.numel() for parameter in model.backbone.parameters() if parameter.requires_grad)


@dataclass(frozen=True, kw_only=True)
class FineTune:
    """Fine-tune everything: the upper reference for the task, and what it costs the base."""

    recipe: Recipe
    name: str = "finetune"
    n_delta_modules: int = 0

    @property
    def variant(self) -> str:
        """The learning rate is the arm."""
        return f"lr={self.recipe.lr:g}"

    def measure(self, cell: Cell) -> Outcome:
        """Fine-tune on the cell's task and measure task and base."""
        model, steps, train_s = train_all(cell, self.recipe)
        base = (cell.measure_base(cell.logits(model.backbone, "test", base=True), "test"),) if cell.base else ()
        return Outcome(
            measurements=(*cell.before(), *base, *(cell.measure_task(model, split) for split in ("val", "test"))),
            params_delta=count_trainable(model),
            params_head=sum(parameter.numel() for parameter in model.head.parameters()),
            steps=steps,
            train_s=train_s,
            backbone_sha_after=backbone_fingerprint(model.backbone),
            base_logits_equal=None,
        )
