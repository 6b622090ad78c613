"""From scratch (Tables 12 and 13): a net without pre-training, as it is or with Delta-modules that train with it."""

from dataclasses import dataclass, field, replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from benchmarks.data.augmentation import Augmentation, augmented
from benchmarks.methods.base import EVAL_SPLITS, Cell, Measurement, Method, Outcome
from benchmarks.methods.finetune import FineTuned
from benchmarks.nets.full_size import backbone_params, delta_params
from benchmarks.records.names import TOP5_TASKS
from delta_core import DeltaConfig, DeltaModel, JointDelta, backbone_fingerprint
from delta_core.training.engine import train_module
from delta_core.training.identity import NEW_SINCE_RECORDED


@dataclass(frozen=True, kw_only=True)
class Scratch(Method):
    """Train all weights of a net that starts from random ones; those are drawn by the run's seed, for all methods."""

    name: ClassVar[str] = "standard"
    config: DeltaConfig | None = None
    """Delta-modules that train with the net; None = the net as it is."""
    augmentation: Augmentation | None = field(default=None, metadata=NEW_SINCE_RECORDED)
    """Of fresh views; None = views as the recipe has them, PAINT's light crops at most."""

    @property
    def n_delta_modules(self) -> int:
        """0 for the net as it is."""
        return self.config.n_modules if self.config else 0

    def measure(self, cell: Cell) -> Outcome:
        """Train on the cell's task; there is no base to keep."""
        started = cell.stages.clock.seconds()
        net = self._net(cell)
        head: nn.Module = net.head
        train = augmented(cell.task.train, self.augmentation) if self.augmentation else cell.task.train
        steps = train_module(
            net,
            head,
            train,
            self.recipe,
            cell.fabric,
            seed=cell.order_seed,
            checkpoint=cell.stages.training("training"),
        )
        net.eval()
        train_s = cell.stages.clock.seconds() - started
        in_head = sum(parameter.numel() for parameter in head.parameters())
        return Outcome(
            measurements=tuple(self._measurements(cell, net)),
            params_delta=sum(parameter.numel() for parameter in net.parameters() if parameter.requires_grad) - in_head,
            params_head=in_head,
            steps=steps,
            train_s=train_s,
            backbone_sha_after=backbone_fingerprint(net.backbone),
            base_logits_equal=None,
        )

    def _net(self, cell: Cell) -> FineTuned | JointDelta:
        backbone = cell.new_backbone()
        if self.config is None:
            return FineTuned(backbone, cell.task.classes, seed=cell.init_seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(cell.init_seed)
            model = DeltaModel(backbone)
            model.add_patch("task", num_classes=cell.task.classes, config=self.config)
            return JointDelta(model)

    def _measurements(self, cell: Cell, net: nn.Module) -> list[Measurement]:
        found = []
        for split in EVAL_SPLITS:
            top1 = cell.measure_task(net, split)
            found.append(top1)
            if cell.task.name in TOP5_TASKS:
                labels = getattr(cell.task, split).labels
                found.append(replace(top1, metric="top5", value=top5(cell.logits(net, split), labels)))
        return found


@dataclass(frozen=True, kw_only=True)
class ScratchDelta(Scratch):
    """The same with Delta-modules: named like Delta-Networks in the paper's tables."""

    name: ClassVar[str] = "delta_networks"
    config: DeltaConfig

    def full_size_params(self, architecture: str) -> int:
        """The whole net and its modules."""
        return backbone_params(architecture) + delta_params(architecture, self.config)


def top5(logits: Tensor, labels: Tensor) -> float:
    """Share of images, in per cent, whose class is among the five highest logits (N, C); all where C is five or less.

    >>> top5(torch.eye(6)[:2], torch.tensor([0, 1]))
    100.0
    """
    from torchmetrics.functional.classification import (
        multiclass_accuracy,  # see `delta_core.training.fabric.make_fabric`
    )

    classes = logits.shape[1]
    found = multiclass_accuracy(logits, labels, num_classes=classes, average="micro", top_k=min(5, classes))
    return 100 * float(found)
