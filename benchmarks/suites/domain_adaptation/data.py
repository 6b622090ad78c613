"""Two domains, and what a setting lets training and selection see of them: target labels have no way in."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.data.digits import load_digits
from benchmarks.data.load import load_task
from benchmarks.env import Env
from benchmarks.nets.slim import PREPROCESSING
from benchmarks.suites.domain_adaptation.spec import DomainSpec, Setting
from delta_core.training.data.splits import Split, TaskData
from delta_core.weights import Preprocessing


@dataclass(frozen=True, kw_only=True)
class Unlabelled:
    """The images of a split; its labels are all 0, whatever the split's own are."""

    images: Split

    @property
    def labels(self) -> Tensor:
        """Zeros (N,): the training loop wants labels, nobody learns from these."""
        return torch.zeros(len(self.images.labels), dtype=torch.long)

    @property
    def preprocessing(self) -> Preprocessing:  # noqa: D102
        return self.images.preprocessing

    def batches(self, batch_size: int, *, device: torch.device, order: Tensor | None = None) -> Iterator[Tensor]:
        """Inputs (B, 3, S, S) float32, in the given order of indices (N,), else in stored order."""
        return self.images.batches(batch_size, device=device, order=order)


@dataclass(frozen=True, kw_only=True)
class Seen:
    """All that training and selection get."""

    train: Split
    """Labelled: the source's, or the target's own for the upper reference."""
    val: Split
    """Labelled, held out, of the same domain as `train`."""
    unlabelled: Unlabelled | None
    """Training images of the target."""


@dataclass(frozen=True, kw_only=True)
class Domains:
    """Source and target with everything in them; only the final measurement and the diagnostics read it all."""

    source: TaskData
    target: TaskData

    def seen(self, setting: Setting) -> Seen:
        """What a setting may see."""
        match setting:
            case "zero-shot":
                return Seen(train=self.source.train, val=self.source.val, unlabelled=None)
            case "unsupervised DA":
                images = Unlabelled(images=self.target.train)
                return Seen(train=self.source.train, val=self.source.val, unlabelled=images)
            case "target labels":
                return Seen(train=self.target.train, val=self.target.val, unlabelled=None)


def load_domains(spec: DomainSpec, env: Env) -> Domains:
    """Both domains of a run, in the same preprocessing.

    Raises:
        UserError: if files are missing, or not complete at scale paper.
    """

    def load(name: str) -> TaskData:
        if name in env.folders:
            return _digits(name, env.folders[name], spec.scale == "paper")
        return load_task(name, env, PREPROCESSING)

    return Domains(source=load(spec.source), target=load(spec.target))


# Each worker process runs many cells on the same few sets.
@lru_cache(maxsize=3)
def _digits(name: str, root: Path, full: bool) -> TaskData:
    return load_digits(name, root, PREPROCESSING, full=full)
