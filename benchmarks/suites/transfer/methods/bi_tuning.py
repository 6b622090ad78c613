"""Bi-Tuning: beside the classes, images of one class attract each other, among keys of a slowly moving copy of the net.

Zhong et al., "Bi-tuning of Pre-trained Representations", 2020; thuml/Transfer-Learning-Library, regularization/
bi_tuning.py and bi_tuning.py.

Shape legend: B batch, C classes, K keys per class, D width of a key.
"""

import copy
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.methods.base import Cell
from benchmarks.suites.transfer.methods.base import Transfer, seeded
from benchmarks.suites.transfer.methods.tap import Tap
from delta_core import DeltaConfig, JointDelta
from delta_core.families import feature_size
from delta_core.training.data.splits import channels_last
from delta_core.training.objective import Objective


@dataclass(frozen=True, kw_only=True)
class BiTuning(Transfer):
    """CE + trade_off * (contrastive loss of projections + contrastive loss of features against class weights)."""

    name: ClassVar[str] = "bi_tuning"
    prepares_on_data: ClassVar[bool] = True
    two_views: ClassVar[bool] = True
    trade_off: float = 1.0
    keys_per_class: int = 40
    key_momentum: float = 0.999
    temperature: float = 0.07
    projection_size: int = 128

    def prepare(self, net: JointDelta, cell: Cell) -> Objective:
        """Head and projection start as in the script: N(0, 0.01) and the default; the projection learns slowly."""
        features = feature_size(net.backbone)
        head = cast(nn.Linear, net.head)
        with seeded(cell.init_seed), torch.no_grad():  # drawn on the CPU, whatever the device
            head.weight.copy_(0.01 * torch.randn(head.weight.shape))
            head.bias.zero_()
            net.projection = nn.Linear(features, self.projection_size).to(cell.fabric.device)
            queues = [
                KeyQueue(torch.randn(cell.task.classes, self.keys_per_class, width).to(cell.fabric.device))
                for width in (self.projection_size, features + 1)
            ]
        return BiTuningObjective(net, queues[0], queues[1], self)


@dataclass(frozen=True, kw_only=True)
class BiTuningDelta(BiTuning):
    """Bi-Tuning + Delta (n): modules in the net and in its copy."""

    name: ClassVar[str] = "bi_tuning+delta_networks"
    config: DeltaConfig


class KeyQueue:
    """The last K keys of each class, normalised; `start` (C, K, D) fills it before there are any."""

    def __init__(self, start: Tensor) -> None:
        self.keys = F.normalize(start, dim=2)
        self.next_slot = [0] * len(start)

    def push(self, keys: Tensor, labels: Tensor) -> None:
        """Put keys (B, D) in the place of the oldest of their classes (B,), one after the other."""
        for key, label in zip(keys, labels.tolist(), strict=True):
            self.keys[label, self.next_slot[label]] = key
            self.next_slot[label] = (self.next_slot[label] + 1) % self.keys.shape[1]

    def state_dict(self) -> dict[str, Any]:
        """The keys, and where the next one goes."""
        return {"keys": self.keys, "next_slot": self.next_slot}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        self.keys.copy_(state["keys"])
        self.next_slot = state["next_slot"]


class BiTuningObjective(Objective):
    """Loss of `BiTuning` on pairs of views (B, 2, 3, S, S); owns the copy of the net that gives the keys."""

    def __init__(self, net: JointDelta, projections: KeyQueue, features: KeyQueue, method: BiTuning) -> None:
        self.net, self.copy = net, copy.deepcopy(net).requires_grad_(False)
        self.pooled, self.copy_pooled = Tap(net.head), Tap(self.copy.head)
        self.projections, self.features, self.method = projections, features, method

    def loss(self, module: nn.Module, inputs: Tensor, labels: Tensor, index: Tensor) -> Tensor:  # noqa: ARG002, D102
        method = self.method
        logits = module(channels_last(inputs[:, 0]))
        query_z, query_h = _encode(self.net, self.pooled.taken_in)
        with torch.no_grad():
            self.copy(channels_last(inputs[:, 1]))
            key_z, key_h = _encode(self.copy, self.copy_pooled.taken_in)
            weight, bias = self.net.head.weight, self.net.head.bias
            classes = F.normalize(torch.cat([weight, bias[:, None]], dim=1), dim=1)  # type: ignore[list-item, index]
        # A copy of the queue: it is changed below, before the backward pass.
        queued_z = torch.einsum("bd,ckd->bck", query_z, self.projections.keys.clone())
        loss_z = contrastive_loss((query_z * key_z).sum(1), queued_z, labels, method.temperature)
        # The script files the new keys between the two branches.
        self.projections.push(key_z, labels)
        self.features.push(key_h, labels)
        own = classes[labels]
        queued_y = torch.einsum("bd,ckd->bck", own, self.features.keys)
        loss_y = contrastive_loss((query_h * own).sum(1), queued_y, labels, method.temperature)
        return F.cross_entropy(logits, labels) + method.trade_off * (loss_z + loss_y)

    def state_dict(self) -> dict[str, Any]:
        """The copy and both queues."""
        queues = {name: queue.state_dict() for name, queue in self._queues.items()}
        return {"copy": self.copy.state_dict(), **queues}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        self.copy.load_state_dict(state["copy"])
        for name, queue in self._queues.items():
            queue.load_state_dict(state[name])

    @property
    def _queues(self) -> dict[str, KeyQueue]:
        return {"projections": self.projections, "features": self.features}

    @torch.no_grad()
    def after_step(self) -> None:
        """Move the copy a little towards the net; its running statistics are its own."""
        for key, query in zip(self.copy.parameters(), self.net.parameters(), strict=True):
            key.lerp_(query, 1 - self.method.key_momentum)


def contrastive_loss(own: Tensor, queued: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """Mean KL(t || softmax(similarities / T)); t is 1 / (K + 1) on an image's own key and the K of its class.

    Args:
        own: (B,), similarity with the own key.
        queued: (B, C, K), similarities with all keys in the queue.
        labels: (B,).
        temperature: T.
    """
    _, classes, keys = queued.shape
    same = F.one_hot(labels, classes).bool()[:, :, None].expand_as(queued)
    wanted = torch.cat([torch.ones_like(own)[:, None], same.flatten(1).to(own)], dim=1) / (keys + 1)
    similarities = torch.cat([own[:, None], queued.flatten(1)], dim=1) / temperature
    return F.kl_div(F.log_softmax(similarities, dim=1), wanted, reduction="batchmean")


def _encode(net: JointDelta, pooled: Tensor) -> tuple[Tensor, Tensor]:
    """Normalised projections (B, D) and normalised [features; 1] (B, F + 1) of pooled features (B, F)."""
    projected = F.normalize(net.projection(pooled), dim=1)  # type: ignore[operator]
    with_one = torch.cat([pooled, torch.ones_like(pooled[:, :1])], dim=1)
    return projected, F.normalize(with_one, dim=1)
