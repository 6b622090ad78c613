"""What people want to look at: curves during training, embeddings of both domains, the confusion matrix.

Diagnostics read target labels of the test split; nothing of them goes back into training or selection.
"""

import copy
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.suites.domain_adaptation.data import Seen
from benchmarks.suites.domain_adaptation.encoder import Classifier, Embedding
from benchmarks.suites.domain_adaptation.validators import Validator
from delta_core.training.data.splits import Split, eval_batches
from delta_core.training.engine import predict, top1
from delta_core.training.history import Epoch
from delta_core.training.whole_files import whole_file

LOOKS = 8
"""Looks at the net during a training, about."""

SHOWN = 300
"""Embeddings of each domain in the plot."""


class Monitor:
    """Looks at a net during training: scores it by the validator, keeps the best weights, notes the curves."""

    def __init__(self, net: Classifier, validator: Validator, seen: Seen, test: Split, device: torch.device) -> None:
        self.net = net
        self.validator = validator
        self.seen = seen
        self.test = test
        self.device = device
        self.best_score = -float("inf")
        self.best_state: dict[str, Tensor] = {}
        self.curves: dict[str, list[float]] = {"step": [], "target_top1": [], "score": [], "discriminator_top1": []}
        self.seconds = 0.0
        """Time spent looking, which is not training."""

    def look(self, step: int, discriminator_top1: float | None) -> None:
        """Look once; the discriminator's accuracy is that of the time since the last look."""
        started = time.perf_counter()
        score = self.validator.score(self.net, self.seen, self.device)
        if score > self.best_score:
            self.best_score, self.best_state = score, copy.deepcopy(self.net.state_dict())
        found = (step, target_top1(self.net, self.test, self.device), score, discriminator_top1)
        for curve, value in zip(self.curves.values(), found, strict=True):
            curve.append(float("nan") if value is None else value)
        self.seconds += time.perf_counter() - started

    def state_dict(self) -> dict[str, Any]:
        """What it saw so far."""
        return {"best": self.best_state, "score": self.best_score, "curves": self.curves, "seconds": self.seconds}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        self.best_state, self.best_score = state["best"], state["score"]
        self.curves, self.seconds = state["curves"], state["seconds"]

    def selected(self) -> Classifier:
        """A net with the weights that the validator liked best."""
        net = copy.deepcopy(self.net)
        net.load_state_dict(self.best_state)
        return net.eval()


class Looks:
    """What hears of each epoch of a training: the monitor looks at about `LOOKS` of them, the last one included."""

    is_over = False

    def __init__(
        self, monitor: Monitor, *, epochs: int, steps_per_epoch: int, take: Callable[[], float] | None
    ) -> None:
        self._monitor = monitor
        self._epochs = epochs
        self._steps_per_epoch = steps_per_epoch
        self._take = take

    def add(self, number: int, train_loss: float, train_s: float) -> Epoch:
        """Look, if it is time."""
        if number % max(1, self._epochs // LOOKS) == 0 or number == self._epochs:
            self._monitor.look(number * self._steps_per_epoch, self._take() if self._take else None)
        return Epoch(number=number, epochs=self._epochs, train_loss=train_loss, val_top1=None, train_s=train_s)

    def state_dict(self) -> dict[str, Any]:
        """Of the monitor."""
        return self._monitor.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        self._monitor.load_state_dict(state)


def target_top1(net: nn.Module, test: Split, device: torch.device) -> float:
    """Top-1 in per cent on a labelled split."""
    return top1(predict(net, eval_batches(test, device)), test.labels)


def diagnostics_of(
    net: Classifier, source_net: Classifier, source: Split, target: Split, curves: dict[str, list[float]]
) -> dict[str, NDArray[Any]]:
    """Arrays of one run: `curve_*` (looks,), `confusion` (N, N), `plane` (points, 2), its `labels` and `is_target`.

    Args:
        net: what is measured on the target.
        source_net: what embeds the source: for ADDA the fixed source encoder, else the same net.
        source: test split.
        target: test split.
        curves: of the monitor.
    """
    from sklearn.decomposition import PCA  # a second of import that workers of other tables do not need

    # Slow to import, see `delta_core.training.fabric.make_fabric`.
    from torchmetrics.functional.classification import multiclass_confusion_matrix

    device = next(net.parameters()).device
    confusion = multiclass_confusion_matrix(
        predict(net, eval_batches(target, device)), target.labels, num_classes=net.head.out_features
    )
    points, labels = [], []
    for encoder, split in ((source_net, source), (net, target)):
        embedded = predict(Embedding(encoder), eval_batches(split, device))
        shown = torch.linspace(0, len(embedded) - 1, min(SHOWN, len(embedded))).long()
        points.append(embedded[shown].numpy())
        labels.append(split.labels[shown].numpy())
    return {
        **{f"curve_{name}": np.array(values) for name, values in curves.items()},
        "confusion": confusion.numpy(),
        "plane": PCA(n_components=2).fit_transform(np.concatenate(points)).astype(np.float32),
        "labels": np.concatenate(labels),
        "is_target": np.repeat([False, True], [len(labels[0]), len(labels[1])]),
    }


def write_arrays(path: Path, arrays: dict[str, NDArray[Any]]) -> None:
    """Write an npz file, as a whole or not at all."""
    with whole_file(path) as partial, partial.open("wb") as stream:
        np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]
