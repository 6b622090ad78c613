"""p(source class | target class), estimated from what the untouched net says about target images.

Shape legend: N images, S source classes, T target classes.
"""

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression

STRENGTHS = tuple(sorted(step * 10.0**exponent for exponent in range(-4, 4) for step in (1, 3)))
"""Inverse regularisation strengths tried for the calibrated relationship (thuml/CoTuning, relationship_learning.py)."""


def direct_relationship(probabilities: Tensor, labels: Tensor, classes: int) -> Tensor:
    """(T, S): mean of the source probabilities (N, S) over the images of each target class.

    >>> direct_relationship(torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.2, 0.8]]), torch.tensor([0, 0, 1]), 2).tolist()
    [[0.5, 0.5], [0.20000000298023224, 0.800000011920929]]
    """
    return torch.stack([probabilities[labels == label].mean(0) for label in range(classes)])


def calibrated_relationship(
    probabilities: Tensor, labels: Tensor, held_probabilities: Tensor, held_labels: Tensor
) -> Tensor:
    """(T, S) by Bayes' rule from a calibrated classifier of target classes on source probabilities.

    A logistic regression without bias, regularised and then scaled as held-out images say, gives p(target | source) in
    its weights; the mean of all probabilities is p(source). The article's first step, calibrating the source net on
    source data, is left out: these are not there.

    Args:
        probabilities: (N, S) of the images that the classifier learns from, which are of all classes.
        labels: (N,).
        held_probabilities: (M, S) of the images that choose its strength and scale.
        held_labels: (M,).
    """
    from sklearn.linear_model import LogisticRegression  # takes a second to import, and one method needs it

    held, targets = held_probabilities.double(), held_labels.numpy()
    fits = [
        LogisticRegression(C=strength, fit_intercept=False, max_iter=1000).fit(probabilities.numpy(), labels.numpy())
        for strength in reversed(STRENGTHS)
    ]
    best = max(fits, key=lambda fitted: fitted.score(held.numpy(), targets))  # the least regularised of equals
    weights = torch.from_numpy(_weights_of_all_classes(best)).double()  # (T, S)
    scale = _calibration(held @ weights.T, held_labels)
    target_given_source = F.softmax(scale * weights.T, dim=1)  # (S, T)
    marginal = torch.cat([probabilities.double(), held]).mean(0)  # (S,)
    joint = (target_given_source * marginal[:, None]).T
    return (joint / joint.sum(1, keepdim=True)).float()


def _weights_of_all_classes(fitted: "LogisticRegression") -> NDArray[np.float64]:
    """Weights (T, S); of two classes scikit-learn gives the second's alone."""
    return np.concatenate([-fitted.coef_, fitted.coef_]) / 2 if len(fitted.coef_) == 1 else fitted.coef_


def _calibration(logits: Tensor, labels: Tensor) -> float:
    """The factor on logits (M, T) with the lowest cross-entropy (temperature scaling)."""
    scale = torch.ones((), dtype=logits.dtype, requires_grad=True)
    optimizer = torch.optim.LBFGS([scale], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = F.cross_entropy(scale * logits, labels)
        value.backward()
        return value

    optimizer.step(loss)
    return scale.item()
