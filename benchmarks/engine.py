"""The one training loop and the one evaluation loop of the suite.

Device and precision come from Lightning Fabric; the loop is ours.
"""

import math
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.nn import functional as F
from torchmetrics.functional.classification import multiclass_stat_scores

from benchmarks.checkpoint import LoopState
from benchmarks.data.splits import Split, split_in_epoch
from benchmarks.recipe import Recipe

OnEpoch = Callable[[int, float], None]
"""Told after each epoch: its number, from 1, and the mean training loss over its images."""


class DivergedError(RuntimeError):
    """Training met a loss that is not finite."""


def parameter_groups(module: nn.Module, head: nn.Module, recipe: Recipe) -> list[dict[str, object]]:
    """Trainable parameters in four groups: body and head, each with and without weight decay."""
    in_head = {id(parameter) for parameter in head.parameters()}
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for parameter in module.parameters():
        if parameter.requires_grad:
            groups.setdefault((id(parameter) in in_head, parameter.ndim > 1), []).append(parameter)
    return [
        {
            "params": parameters,
            "lr": recipe.head_lr if is_head else recipe.lr,
            "weight_decay": recipe.weight_decay if decayed else 0.0,
        }
        for (is_head, decayed), parameters in sorted(groups.items(), key=lambda item: item[0])
    ]


def fit(
    module: nn.Module,
    head: nn.Module,
    split: Split,
    recipe: Recipe,
    fabric: Fabric,
    *,
    seed: int,
    on_epoch: OnEpoch | None = None,
    checkpoint: Path | None = None,
) -> int:
    """Train `module` (inputs -> logits) on a split; batch order and random views depend on `seed` alone.

    Args:
        module: what is trained, on the device of `fabric`.
        head: the part of `module` that learns at `recipe.head_lr`.
        split: images or cached features with labels.
        recipe: optimiser and schedule.
        fabric: device and precision.
        seed: of batch order and random views.
        on_epoch: called after each epoch. Random numbers that it draws do not reach the training.
        checkpoint: file that holds the state after the last finished epoch. If it is there already, training goes on
            from it and ends with the same bits as without the interruption. It is left to the caller to remove.

    Returns:
        Number of optimiser steps taken.

    Raises:
        DivergedError: when the loss is NaN or infinite.
        UserError: when the checkpoint is damaged or of another training.
    """
    steps_per_epoch = math.ceil(len(split.labels) / recipe.batch_size)
    steps = steps_per_epoch * recipe.epochs
    warmup_steps = max(1, min(recipe.warmup_steps, steps // 10))
    fused = fabric.device.type == "cpu"  # the default is as fast on CUDA, and clips gradients under 16-mixed
    optimizer: torch.optim.Optimizer = torch.optim.AdamW(parameter_groups(module, head, recipe), fused=fused)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _warmup_cosine(step, warmup_steps, steps))
    torch.manual_seed(seed)  # fresh views are drawn from the default generator
    shuffle = torch.Generator().manual_seed(seed)
    state = LoopState(
        module=module,
        optimizer=optimizer,
        schedule=schedule,
        shuffle=shuffle,
        precision=fabric.strategy.precision,
    )
    done = state.load(checkpoint) if checkpoint is not None and checkpoint.exists() else 0
    module, optimizer = fabric.setup(module, optimizer)
    module.train()
    for epoch in range(done + 1, recipe.epochs + 1):
        total = torch.zeros((), device=fabric.device)
        order = torch.randperm(len(split.labels), generator=shuffle)
        labels = split.labels[order].split(recipe.batch_size)
        batches = split_in_epoch(split, epoch - 1).batches(recipe.batch_size, device=fabric.device, order=order)
        for inputs, target in zip(batches, labels, strict=True):
            loss = F.cross_entropy(module(inputs), target.to(fabric.device))
            fabric.backward(loss)
            norm = _clip(fabric, module, optimizer, recipe.clip_norm)
            total += loss.detach() * len(target)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            schedule.step()
        # Once NaN always NaN, so one look an epoch is enough and does not stall a GPU at every step.
        if not (torch.isfinite(loss) and torch.isfinite(norm)):
            raise DivergedError(
                f"Loss {loss.item():g} and gradient norm {norm.item():g} must be finite; "
                f"lower the learning rate ({recipe.lr:g})."
            )
        if checkpoint is not None:
            state.save(checkpoint, epoch=epoch)
        if on_epoch is not None:
            with torch.random.fork_rng(devices=[]):
                on_epoch(epoch, total.item() / len(split.labels))
    return steps


def _clip(fabric: Fabric, module: nn.Module, optimizer: torch.optim.Optimizer, max_norm: float) -> Tensor:
    """Clip gradients in place; returns their norm before."""
    norm = fabric.clip_gradients(module, optimizer, max_norm=max_norm, error_if_nonfinite=False)
    assert norm is not None  # Fabric returns None only when clipping by value
    return norm


def _warmup_cosine(step: int, warmup_steps: int, steps: int) -> float:
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    return 0.5 * (1 + math.cos(math.pi * (step - warmup_steps) / max(1, steps - warmup_steps)))


@torch.inference_mode()
def predict(module: nn.Module, batches: Iterable[Tensor]) -> Tensor:
    """Outputs of `module` in eval mode for all batches, (N, ...) float32 on the CPU; restores the mode."""
    training = module.training
    module.eval()
    outputs = torch.cat([module(inputs).float().cpu() for inputs in batches])
    module.train(training)
    return outputs


def top1(logits: Tensor, labels: Tensor) -> float:
    """Top-1 accuracy in per cent: right answers over all answers (micro average), logits (N, C), labels (N,)."""
    counts = multiclass_stat_scores(logits, labels, num_classes=logits.shape[1], average="micro")
    right, answers = counts[0].item(), counts[4].item()
    return 100 * right / answers
