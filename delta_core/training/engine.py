"""The one training loop and the one evaluation loop of the suite.

Device and precision come from Lightning Fabric; the loop is ours.
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from delta_core.patch import BlockPatch
from delta_core.training.batch_parts import BatchParts
from delta_core.training.checkpoint import Checkpoint, Keeper, LoopState, Position, Stateful
from delta_core.training.data.splits import Split, draws_in_turn, eval_batch_size, eval_batches, split_in_epoch
from delta_core.training.errors import UserError
from delta_core.training.history import Epoch, Watch
from delta_core.training.objective import Objective
from delta_core.training.ranks import Ranks
from delta_core.training.recipe import Recipe

if TYPE_CHECKING:
    from lightning_fabric import Fabric

OnEpoch = Callable[[int, float], None]
"""Told after each epoch: its number, from 1, and the mean training loss over its images."""


class DivergedError(RuntimeError):
    """Training met a loss that is not finite."""


def parameter_groups(module: nn.Module, head: nn.Module, recipe: Recipe) -> list[dict[str, object]]:
    """Trainable parameters by learning rate, each with and without weight decay; those of the head come last."""
    in_head = {id(parameter) for parameter in head.parameters()}
    of_patches = _lr_by_part(module, recipe)
    groups: dict[tuple[bool, bool, float], list[nn.Parameter]] = {}
    for parameter in module.parameters():
        if parameter.requires_grad:
            is_head = id(parameter) in in_head
            lr = recipe.head_lr if is_head else of_patches.get(id(parameter), recipe.lr)
            decayed = parameter.ndim > 1 or recipe.decay_all
            groups.setdefault((is_head, decayed, lr), []).append(parameter)
    return [
        {"params": parameters, "lr": lr, "weight_decay": recipe.weight_decay if decayed else 0.0}
        for (_, decayed, lr), parameters in sorted(groups.items(), key=lambda item: item[0])
    ]


def _lr_by_part(module: nn.Module, recipe: Recipe) -> dict[int, float]:
    """Learning rates of those parameters (by id) of patched blocks that have their own."""
    found: dict[int, float] = {}
    for block in module.modules():
        if isinstance(block, BlockPatch):
            for part, lr in ((block.gates, recipe.gate_lr), (block.maps, recipe.map_lr), (block.norm, recipe.norm_lr)):
                if lr is not None:
                    found |= {id(parameter): lr for parameter in part.parameters()}
    return found


def train_module(
    module: nn.Module,
    head: nn.Module,
    split: Split,
    recipe: Recipe,
    fabric: "Fabric",
    *,
    seed: int,
    objective: Objective | None = None,
    watch: Watch | None = None,
    on_epoch: OnEpoch | None = None,
    checkpoint: Checkpoint | None = None,
    learned: nn.Module | None = None,
) -> int:
    """Train `module` (inputs -> logits) on a split; batch order and random views depend on `seed` alone.

    Args:
        module: what is trained, on the device of `fabric`.
        head: the part of `module` that learns at `recipe.head_lr`.
        split: images or cached features with labels.
        recipe: optimiser and schedule.
        fabric: device and precision, and the processes that share each batch; its callbacks hear how the training
            goes. What was trained is equal in all of them, and up to rounding what one alone trains.
        seed: of batch order and random views.
        objective: what is minimised; cross-entropy if not given.
        watch: hears of each epoch, and may end the training before the last one of the recipe; the rate then stays
            where the schedule over all epochs had it.
        on_epoch: called after each epoch. Random numbers that it draws do not reach the training.
        checkpoint: where the state is kept. If its file is there already, training goes on from it and ends with the
            same bits as without the interruption. It is left to the caller to remove.
        learned: the part of `module` that changes, whose state the checkpoint holds; all of it if not given.

    Returns:
        Number of optimiser steps taken.

    Raises:
        DivergedError: when the loss is NaN or infinite.
        UserError: when the checkpoint is of another training, or loss or views cannot be dealt or taken in parts.
    """
    steps_per_epoch = recipe.steps_per_epoch or math.ceil(len(split.labels) / recipe.batch_size)
    steps = steps_per_epoch * recipe.epochs
    batch_size = min(recipe.batch_size, len(split.labels))
    objective = objective or Objective()
    optimizer = _optimizer(parameter_groups(module, head, recipe), recipe, fabric.device, objective.betas)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate_factor(step, steps, recipe))
    ranks = Ranks.behind(fabric)
    torch.manual_seed(ranks.seed(seed))  # dropout and its like draw from the default generator
    shuffle = torch.Generator().manual_seed(seed)
    along: dict[str, Stateful] = {"objective": objective} | ({} if watch is None else {"watch": watch})
    state = LoopState(
        module=module if learned is None else learned,
        optimizer=optimizer,
        schedule=schedule,
        shuffle=shuffle,
        precision=fabric.strategy.precision,
        beside=along if checkpoint is None else {**along, **checkpoint.beside},
        identity="" if checkpoint is None else checkpoint.identity,
        device=fabric.device,
        ranks=ranks,
    )
    at = Position() if checkpoint is None else state.load(checkpoint.path)
    keeper = Keeper(state, checkpoint)
    wrapped, optimizer = fabric.setup(module, optimizer)
    wrapped.train()
    parts = BatchParts(objective, wrapped, fabric, recipe.micro_batch)
    with keeper.at_work(), _heard(fabric, module, steps_per_epoch * at.epoch + at.step):
        for epoch in range(at.epoch + 1, recipe.epochs + 1):
            if (watch is not None and watch.is_over) or keeper.is_to_end:
                break
            started = time.perf_counter() - at.train_s
            total = torch.full((), at.loss_sum, device=fabric.device)
            before = shuffle.get_state()
            order = _order(len(split.labels), batch_size, recipe.steps_per_epoch, shuffle)
            seen = split_in_epoch(split, epoch - 1, seed)
            if draws_in_turn(seen) and not ranks.is_alone:
                raise UserError("Views of these images are drawn in turn, which one device alone can do; give one.")
            left = order[at.step * batch_size :].split(batch_size)
            own = [parts.share_of(batch) for batch in left]
            inputs_of_each = _inputs(seen, own, fabric.device, alone=ranks.is_alone, goes_on=at.step > 0)
            last_step = at.step + len(left)
            for step, (inputs, index, batch) in enumerate(zip(inputs_of_each, own, left, strict=True), at.step + 1):
                labels = split.labels[index].to(fabric.device)
                loss = parts.backward(inputs, labels, index, batch_size=len(batch))
                # Without a limit the norm is still needed: it shows a gradient that is not finite.
                norm = _clip(fabric, wrapped, optimizer, math.inf if recipe.clip_norm is None else recipe.clip_norm)
                total += loss * len(batch)
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
                lr = max(schedule.get_last_lr())
                schedule.step()
                objective.after_step()
                fabric.call("on_step", loss, lr)
                if step < last_step:
                    position = None if draws_in_turn(seen) else partial(_position, epoch - 1, step, total, started)
                    keeper.after_step(position, before)
                    if keeper.is_to_end:
                        return steps_per_epoch * (epoch - 1) + step
            # Once NaN always NaN, so one look an epoch is enough and does not stall a GPU at every step.
            if not (torch.isfinite(loss) and torch.isfinite(norm)):
                raise DivergedError(
                    f"Loss {loss.item():g} and gradient norm {norm.item():g} must be finite; "
                    f"lower the learning rate ({recipe.lr:g})."
                )
            at = Position(epoch=epoch)
            mean_loss, train_s = total.item() / len(order), time.perf_counter() - started
            if watch is None:
                heard = Epoch(number=epoch, epochs=recipe.epochs, train_loss=mean_loss, val_top1=None, train_s=train_s)
            else:
                with torch.random.fork_rng(devices=[]):
                    heard = watch.add(epoch, mean_loss, train_s)
            fabric.call("on_epoch", heard)  # before the state is kept: else a kill in between would leave it out
            keeper.after_epoch(at, is_last=epoch == recipe.epochs or (watch is not None and watch.is_over))
            if on_epoch is not None:
                with torch.random.fork_rng(devices=[]):
                    on_epoch(epoch, mean_loss)
    return steps_per_epoch * at.epoch


def _position(epoch: int, step: int, total: Tensor, started: float) -> Position:
    return Position(epoch=epoch, step=step, loss_sum=total.item(), train_s=time.perf_counter() - started)


def _inputs(seen: Split, own: list[Tensor], device: torch.device, *, alone: bool, goes_on: bool) -> Iterator[Tensor]:
    """Inputs of the batches of an epoch that are left, as far as this process computes them.

    Shares of whole batches are of one size; that of the last one, which may have fewer images, is read by itself.
    """
    if alone or len(own) > 1:
        first = own if alone else own[:-1]
        batches = seen.batches(len(first[0]), device=device, order=torch.cat(first))
        yield from _as_if_never_stopped(batches) if goes_on else batches
    if not alone:
        yield from seen.batches(len(own[-1]), device=device, order=own[-1])


def _as_if_never_stopped(batches: Iterator[Tensor]) -> Iterator[Tensor]:
    """The rest of an epoch: random numbers that are drawn where one begins are drawn already."""
    random = torch.get_rng_state()
    first = next(batches)
    torch.set_rng_state(random)
    yield first
    yield from batches


@contextmanager
def _heard(fabric: "Fabric", module: nn.Module, steps: int) -> Iterator[None]:
    """Tell callbacks that training begins after so many steps, and that it has ended, however it did."""
    fabric.call("on_start", module, steps)
    try:
        yield
    finally:
        fabric.call("on_end")


def _order(count: int, batch_size: int, steps: int | None, shuffle: torch.Generator) -> Tensor:
    """Places in a split as one epoch visits them: one pass, or `steps` whole batches out of as many as it takes."""
    if steps is None:
        return torch.randperm(count, generator=shuffle)
    whole = count // batch_size
    passes = [torch.randperm(count, generator=shuffle)[: whole * batch_size] for _ in range(math.ceil(steps / whole))]
    return torch.cat(passes)[: steps * batch_size]


def _clip(fabric: "Fabric", module: nn.Module, optimizer: torch.optim.Optimizer, max_norm: float) -> Tensor:
    """Clip gradients in place; returns their norm before."""
    norm = fabric.clip_gradients(module, optimizer, max_norm=max_norm, error_if_nonfinite=False)
    assert norm is not None  # Fabric returns None only when clipping by value
    return norm


def _optimizer(
    groups: list[dict[str, object]], recipe: Recipe, device: torch.device, betas: tuple[float, float]
) -> torch.optim.Optimizer:
    fused = device.type == "cpu"  # the default is as fast on CUDA, and clips gradients under 16-mixed
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=recipe.lr, momentum=0.9, nesterov=recipe.nesterov, fused=fused)
    return torch.optim.AdamW(groups, betas=betas, fused=fused)


def rate_factor(step: int, steps: int, recipe: Recipe) -> float:
    """Factor on the learning rate at a step (0, 1, ...) of `steps`: warm-up, then cosine or falls to a tenth.

    >>> recipe = Recipe(epochs=1, lr=1.0, head_lr=1.0, warmup_steps=0, milestones=(0.5,))
    >>> [round(rate_factor(step, 4, recipe), 3) for step in range(4)]
    [1.0, 1.0, 0.1, 0.1]
    """
    longest = int(steps * recipe.warmup_share)
    warmup_steps = max(1, min(recipe.warmup_steps, longest)) if recipe.warmup_steps else 0
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    if recipe.milestones:
        return float(0.1 ** sum(step >= share * steps for share in recipe.milestones))
    return 0.5 * (1 + math.cos(math.pi * (step - warmup_steps) / max(1, steps - warmup_steps)))


@torch.inference_mode()
def predict(module: nn.Module, batches: Iterable[Tensor]) -> Tensor:
    """Outputs of `module` in eval mode for all batches, (N, ...) float32 on the CPU; restores the mode."""
    training = module.training
    module.eval()
    outputs = torch.cat([module(inputs).float().cpu() for inputs in batches])
    module.train(training)
    return outputs


def predict_split(module: nn.Module, split: Split, fabric: "Fabric") -> Tensor:
    """Outputs of `module` in eval mode for all images of a split, as `predict`; each batch is one process's work."""
    ranks = Ranks.behind(fabric)
    if ranks.is_alone:
        return predict(module, eval_batches(split, fabric.device))
    size = eval_batch_size(split, fabric.device)
    batches = torch.arange(len(split.labels)).split(size)
    own = batches[ranks.number :: ranks.world_size]
    found: tuple[Tensor, ...] = ()
    if own:
        found = predict(module, split.batches(size, device=fabric.device, order=torch.cat(own))).split(size)
    of_all = ranks.of_all(found)
    return torch.cat([of_all[place % ranks.world_size][place // ranks.world_size] for place in range(len(batches))])


def top1(logits: Tensor, labels: Tensor) -> float:
    """Top-1 accuracy in per cent: right answers over all answers (micro average), logits (N, C), labels (N,)."""
    from torchmetrics.functional.classification import multiclass_stat_scores  # see `fabric.make_fabric`

    counts = multiclass_stat_scores(logits, labels, num_classes=logits.shape[1], average="micro")
    right, answers = counts[0].item(), counts[4].item()
    return 100 * right / answers
