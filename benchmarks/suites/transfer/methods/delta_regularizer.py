"""DELTA: feature maps stay close to the source's, channel by channel as the new task needs them.

Li et al., "DELTA: DEep Learning Transfer using Feature Map with Attention", ICLR 2019; thuml/Transfer-Learning-Library,
delta.py and delta.sh. No relation to Delta-Networks but the name.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.methods.base import Cell
from benchmarks.suites.transfer.methods.base import Transfer, new_net
from benchmarks.suites.transfer.methods.channel_attention import channel_attention, last_convolutions
from benchmarks.suites.transfer.methods.tap import Tap
from delta_core import JointDelta
from delta_core.training.engine import train_module
from delta_core.training.objective import Objective
from delta_core.training.recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class DeltaRegularizer(Transfer):
    """CE + trade_off * feature_distance + trade_off_head * 1/2 |head|^2, and no weight decay in the recipe.

    Attention is measured first, on a net that is fine-tuned for it by `attention_recipe`. The script means to train its
    head alone, but sets an attribute that freezes nothing; so is it here. Its rate falls exponentially to a tenth in 6
    of 10 epochs, ours at once after that share.
    """

    name: ClassVar[str] = "delta_regularizer"
    prepares_on_data: ClassVar[bool] = True
    trade_off: float
    trade_off_head: float = 0.01
    attention_recipe: Recipe
    attention_batches: int = 10
    """Batches of the attention recipe's size on which the loss is measured without each filter: one forward pass for
    each filter and batch, the costliest part at full size."""

    def prepare(self, net: JointDelta, cell: Cell) -> Objective:  # noqa: D102
        attentions = self._attentions(cell)
        source = cell.new_backbone().eval().requires_grad_(False)
        return DeltaRegularizerObjective(net, source, attentions, self.trade_off, self.trade_off_head)

    def _attentions(self, cell: Cell) -> list[Tensor]:
        trained = new_net(cell, None)
        train_module(
            trained,
            trained.patch,
            cell.task.train,
            self.attention_recipe,
            cell.fabric,
            seed=cell.init_seed,
            checkpoint=cell.stages.training("attention"),
        )
        size = self.attention_recipe.batch_size
        generator = torch.Generator().manual_seed(cell.init_seed)
        order = torch.randperm(len(cell.task.train.labels), generator=generator)[: size * self.attention_batches]
        images = cell.task.train.batches(size, device=cell.fabric.device, order=order)
        labels = cell.task.train.labels[order].to(cell.fabric.device).split(size)
        return channel_attention(trained, list(zip(images, labels, strict=True)))


class DeltaRegularizerObjective(Objective):
    """Loss of `DeltaRegularizer`; `attentions` has (C,) for each of `last_convolutions`."""

    def __init__(
        self, net: JointDelta, source: nn.Module, attentions: Sequence[Tensor], trade_off: float, trade_off_head: float
    ) -> None:
        names = last_convolutions(net)
        self.head, self.source, self.attentions = net.head, source, attentions
        self.trade_off, self.trade_off_head = trade_off, trade_off_head
        self.taps = [Tap(net.backbone.get_submodule(name)) for name in names]
        self.source_taps = [Tap(source.get_submodule(name)) for name in names]

    def loss(self, module: nn.Module, inputs: Tensor, labels: Tensor, index: Tensor) -> Tensor:  # noqa: ARG002, D102
        logits = module(inputs)
        with torch.no_grad():
            self.source(inputs)
        pairs = zip(self.taps, self.source_taps, self.attentions, strict=True)
        distances = [feature_distance(tap.put_out, source.put_out, weight) for tap, source, weight in pairs]
        size = torch.stack([parameter.square().sum() for parameter in self.head.parameters()]).sum()
        penalty = self.trade_off * torch.stack(distances).sum() + self.trade_off_head * size / 2
        return F.cross_entropy(logits, labels) + penalty


def feature_distance(maps: Tensor, source: Tensor, attention: Tensor) -> Tensor:
    """1/2 sum_b sum_c a_c * C / (H W) * |FM_bc - FM0_bc|^2: a sum over the batch, not a mean.

    Args:
        maps: (B, C, H, W) of the net in training.
        source: (B, C, H, W) of the untouched net.
        attention: (C,), adding up to 1.
    """
    _, channels, height, width = maps.shape
    squares = (maps - source).square().sum((2, 3))
    return channels / (height * width) * (squares * attention).sum() / 2
