"""Accuracy of a patch in whole images: overall, by class, and which class was taken for which."""

import math
from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

LOG_SCALES = (-4.0, 2.0)
"""Of the logits, from nearly no answer at all to seven times as sure."""


@dataclass(frozen=True, kw_only=True)
class ClassAccuracy:
    """Right answers of one class."""

    name: str
    right: int
    images: int

    @property
    def percent(self) -> float:
        """Recall of the class in per cent; 0 where there are no images."""
        return 100 * self.right / max(1, self.images)


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """What a patch answered on a split."""

    class_names: tuple[str, ...]
    confusion: Tensor
    """(N, N) counts, rows the true class, columns the predicted one."""

    @property
    def images(self) -> int:
        """Number of images."""
        return int(self.confusion.sum())

    @property
    def right(self) -> int:
        """Number of images whose most probable class is the true one."""
        return int(self.confusion.diagonal().sum())

    @property
    def top1(self) -> float:
        """Top-1 accuracy in per cent."""
        return 100 * self.right / self.images

    def by_class(self) -> list[ClassAccuracy]:
        """All classes that have images, the worst first."""
        rows = zip(self.class_names, self.confusion.diagonal().tolist(), self.confusion.sum(1).tolist(), strict=True)
        found = [ClassAccuracy(name=name, right=right, images=images) for name, right, images in rows if images]
        return sorted(found, key=lambda each: each.percent)

    def __str__(self) -> str:
        return f"{self.top1:.2f} % ({self.right} of {self.images} images)"


def accuracy_of(logits: Tensor, labels: Tensor, class_names: tuple[str, ...]) -> Accuracy:
    """Count the answers of logits (B, N) to labels (B,)."""
    # Slow to import, see `delta_core.training.fabric.make_fabric`.
    from torchmetrics.functional.classification import multiclass_confusion_matrix

    confusion = multiclass_confusion_matrix(logits, labels, num_classes=len(class_names))
    return Accuracy(class_names=class_names, confusion=confusion)


def calibrated_losses(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy (N,) of logits (N, C) for labels (N,), at the one temperature for all that makes their mean least.

    What a net knows, without how loudly it says so: training makes nets overconfident, one more than another
    (temperature scaling, Guo et al. 2017).

    >>> logits, labels = Tensor([[2.0, 0.0], [0.0, 2.0], [2.0, 0.0]]), Tensor([0, 1, 1]).long()
    >>> [f"{calibrated_losses(scale * logits, labels).mean():.3f}" for scale in (1, 9)]
    ['0.637', '0.637']
    """
    from scipy.optimize import minimize_scalar  # slow to import

    logits = logits.double()

    def losses(log_scale: float) -> Tensor:
        return F.cross_entropy(logits * math.exp(log_scale), labels, reduction="none")

    return losses(minimize_scalar(lambda log_scale: float(losses(log_scale).mean()), bounds=LOG_SCALES).x)
