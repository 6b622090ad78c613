"""Weights of classes in the loss, for data in which some classes have many more images than others."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from delta_core.training.objective import Objective

ClassWeights = Literal["balanced"]
"""`balanced`: each class weighs n / (C n_c), as scikit-learn has it; n images, n_c of the class, C classes with any."""


def balanced_weights(labels: Tensor, classes: int) -> Tensor:
    """Weights (classes,) float32 for labels (N,); 0 where a class has no image. Over all images their mean is 1.

    >>> balanced_weights(torch.tensor([0, 0, 0, 1]), 2)
    tensor([0.6667, 2.0000])
    """
    counts = torch.bincount(labels, minlength=classes).float()
    present = counts > 0
    return torch.where(present, len(labels) / (present.sum() * counts.clamp_min(1)), 0)


class WeightedCrossEntropy(Objective):
    """Cross-entropy in which each image counts as its class weighs, over the weights of the batch."""

    def __init__(self, weights: Tensor) -> None:
        self.weights = weights

    def loss(self, module: nn.Module, inputs: Tensor, labels: Tensor, index: Tensor) -> Tensor:  # noqa: ARG002, D102
        return F.cross_entropy(module(inputs), labels, weight=self.weights)
