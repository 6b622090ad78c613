"""PAINT: fine-tune, then interpolate between base and fine-tuned weights (Ilharco et al. 2022, mlfoundations/patching).

theta(alpha) = (1 - alpha) * theta_base + alpha * theta_finetuned for every entry of the state dict, running statistics
and batch counters included. All eleven alphas are measured on held-out and on test data; choosing one is a reduction
over rows, made by the reports.
"""

import statistics
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from benchmarks.methods.base import EVAL_SPLITS, Cell, Measurement, Method, Outcome
from benchmarks.methods.finetune import FineTuned, train_all, tuned_outcome
from benchmarks.records.names import WITH_BATCH_NORM
from delta_core.training.data.splits import PartOfSplit, TaskData, split_in_epoch
from delta_core.training.errors import UserError

ALPHAS: tuple[float, ...] = tuple(round(0.1 * step, 1) for step in range(11))
"""The grid of the paper (Table 11) and of PAINT's README."""

REESTIMATION_IMAGES = 256
"""Images of each of the two tasks from which BatchNorm statistics are re-estimated."""


@dataclass(frozen=True, kw_only=True)
class Paint(Method):
    """One learning-rate arm of PAINT; nets with BatchNorm also get an arm with re-estimated statistics (`+bn`)."""

    name: ClassVar[str] = "paint"
    needs_base: ClassVar[bool] = True
    screen_images: int = 5_000
    """Base test images, evenly spaced, on which all alphas are compared. Where there are more (ImageNet has 50,000),
    alpha 0, 1 and the one that the validation splits choose are measured on all; `n_examples` of a row tells which."""

    @property
    def variant(self) -> str:
        """The learning rate is the arm: 1e-3 is PAINT's code default, 1e-5 its README's."""
        return f"lr={self.recipe.lr:g}"

    def measure(self, cell: Cell) -> Outcome:
        """Fine-tune once, then measure task and base at every alpha."""
        model, steps, train_s = train_all(cell, self.recipe)
        base_state, tuned_state = (copied_state(net) for net in (cell.new_backbone(), model.backbone))
        has_batch_norm = any(isinstance(module, _BatchNorm) for module in model.backbone.modules())
        screen = _evenly_spaced(cell.base, self.screen_images)

        def measured(alpha: float, variant: str, base: TaskData | None) -> list[Measurement]:
            name = f"{variant} at alpha {alpha:g} on {'all' if base is cell.base else 'some'} base images"
            return cell.measured(name, lambda: measured_now(alpha, variant, base))

        def measured_now(alpha: float, variant: str, base: TaskData | None) -> list[Measurement]:
            interpolate_(model.backbone, base_state, tuned_state, alpha)
            if variant.endswith(WITH_BATCH_NORM):
                reestimate_batch_norm_(model.backbone, _mixed_batches(cell))
            return _sweep(replace(cell, base=base), model, variant=variant, alpha=alpha)

        measurements = list(cell.before())
        for variant in (self.variant, self.variant + WITH_BATCH_NORM) if has_batch_norm else (self.variant,):
            found = {alpha: measured(alpha, variant, screen) for alpha in ALPHAS}
            if screen is not cell.base:
                confirmed = {0.0, 1.0, max(ALPHAS, key=lambda alpha: _validation_score(found[alpha]))}
                found |= {alpha: measured(alpha, variant, cell.base) for alpha in sorted(confirmed)}
            measurements += [one for alpha in ALPHAS for one in found[alpha]]
        interpolate_(model.backbone, base_state, tuned_state, 1.0)
        return tuned_outcome(model, measurements, steps, train_s)


def copied_state(net: nn.Module) -> dict[str, Tensor]:
    """State of a net that stays as it is while the net is overwritten."""
    return {name: tensor.clone() for name, tensor in net.state_dict().items()}


@torch.no_grad()
def interpolate_(net: nn.Module, base: dict[str, Tensor], tuned: dict[str, Tensor], alpha: float) -> None:
    """Overwrite the state of `net` in place; alpha 0 gives `base` and alpha 1 gives `tuned` bit for bit.

    Raises:
        UserError: for an alpha outside 0 to 1.
    """
    if not 0 <= alpha <= 1:
        raise UserError(f"alpha is {alpha:g}; give a number from 0 (base weights) to 1 (fine-tuned weights).")
    for name, tensor in net.state_dict().items():
        if tensor.is_floating_point():
            tensor.copy_(torch.lerp(base[name], tuned[name], alpha))
        else:  # integer batch counters, truncated as load_state_dict would
            tensor.copy_(torch.lerp(base[name].double(), tuned[name].double(), alpha))


@torch.no_grad()
def reestimate_batch_norm_(net: nn.Module, batches: Iterator[Tensor]) -> None:
    """Replace running statistics by the plain average over batches of images (B, 3, H, W); weights stay."""
    norms = [module for module in net.modules() if isinstance(module, _BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # cumulative average
        norm.train()
    for images in batches:
        net(images)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()


def _mixed_batches(cell: Cell, batch_size: int = 64) -> Iterator[Tensor]:
    """Batches that hold equal parts of both tasks: one net has to serve both, so must its statistics.

    PAINT may look at held-out base images (it selects alpha on them), so these are the base images used.
    """
    device = cell.fabric.device
    order = torch.randperm(len(cell.task.train.labels), generator=torch.Generator().manual_seed(cell.order_seed))
    train = split_in_epoch(cell.task.train, 0, cell.order_seed)
    task = train.batches(batch_size, device=device, order=order[:REESTIMATION_IMAGES])
    if cell.base is None:
        yield from task
        return
    labels = cell.base.val.labels
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(cell.order_seed))
    base = cell.base.val.batches(batch_size, device=device, order=order[:REESTIMATION_IMAGES])
    for task_images, base_images in zip(task, base, strict=False):
        if task_images.shape[1:] == base_images.shape[1:]:
            yield torch.cat([task_images, base_images])
        else:  # the two tasks are seen at different sizes
            yield task_images
            yield base_images


def _evenly_spaced(base: TaskData | None, count: int) -> TaskData | None:
    """The base task with at most `count` of its test images; the task itself if it has no more."""
    if base is None or len(base.test.labels) <= count:
        return base
    places = torch.linspace(0, len(base.test.labels) - 1, count).round().long()
    return replace(base, test=PartOfSplit(whole=base.test, places=places))


def _validation_score(found: list[Measurement]) -> float:
    """Harmonic mean of the accuracies on validation splits, as the reports choose alpha by; 0 if both are 0."""
    values = [one.value for one in found if one.split == "val"]
    return statistics.harmonic_mean(values)


def _sweep(cell: Cell, model: FineTuned, *, variant: str, alpha: float) -> list[Measurement]:
    """Task and base accuracy of the interpolated model on held-out and test data."""
    found = [cell.measure_task(model, split, variant=variant, alpha=alpha) for split in EVAL_SPLITS]
    if cell.base is not None:
        for split in EVAL_SPLITS:
            logits = cell.logits(model.backbone, split, base=True)
            found.append(cell.measure_base(logits, split, variant=variant, alpha=alpha))
    return [replace(measurement, phase="after") for measurement in found]
