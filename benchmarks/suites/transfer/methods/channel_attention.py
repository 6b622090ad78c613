"""How much the loss rises when a filter is switched off: DELTA's attention over channels.

thuml/Transfer-Learning-Library, delta.py (`calculate_channel_attention`).
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from delta_core import JointDelta
from delta_core.families import Block
from delta_core.training.errors import UserError

SHARPNESS = 5.0
"""Standard scores of the rise are divided by this before the softmax."""


def last_convolutions(net: JointDelta) -> tuple[str, ...]:
    """Names, in the backbone, of the last convolution of each block: `conv3` of a bottleneck, before its BatchNorm.

    Raises:
        UserError: if a unit keeps its convolutions where they are not found, or has no output of its own.
    """
    names = []
    for block in net.stages:
        if isinstance(block, Block):
            unit = block.sub_blocks[-1]
            children = net.backbone.get_submodule(unit).named_children()
            found = [f"{unit}.{name}" for name, module in children if isinstance(module, nn.Conv2d)]
            if block.wiring == "concat" or not found:
                raise UserError(f"DELTA finds no convolution in {unit}; leave this method out, or use another net.")
            names.append(found[-1])
    return tuple(names)


@torch.no_grad()
def channel_attention(net: JointDelta, batches: Sequence[tuple[Tensor, Tensor]]) -> list[Tensor]:
    """Attention (C,) of each layer of `last_convolutions`: softmax of the standard scores of `loss_rises`, over 5."""
    attentions = []
    for name in last_convolutions(net):
        rises = torch.stack([loss_rises(net, name, images, labels) for images, labels in batches]).mean(0)
        spread = rises.std(correction=0).clamp_min(torch.finfo(rises.dtype).tiny)
        attentions.append(F.softmax((rises - rises.mean()) / spread / SHARPNESS, dim=0))
    return attentions


@torch.no_grad()
def loss_rises(net: JointDelta, convolution: str, images: Tensor, labels: Tensor) -> Tensor:
    """Rise (C,) of the mean cross-entropy in eval mode when each filter of a convolution is zero.

    What comes before the convolution's unit does not change and is computed once.

    Args:
        net: without Delta-modules.
        convolution: name of a module of the backbone.
        images: (B, 3, H, W).
        labels: (B,).
    """
    training = net.training
    net.eval()
    steps = [name for stage in net.stages for name in stage.modules]
    first = steps.index(convolution.rpartition(".")[0])
    entering = _run(net.backbone, steps[:first], images)

    def loss() -> Tensor:
        return F.cross_entropy(net.forward_head(_run(net.backbone, steps[first:], entering)), labels)

    whole, rises = loss(), []
    for kernel in net.backbone.get_submodule(convolution).weight:  # type: ignore[union-attr]
        kept = kernel.clone()
        kernel.zero_()
        rises.append(loss() - whole)
        kernel.copy_(kept)
    net.train(training)
    return torch.stack(rises)


def _run(backbone: nn.Module, steps: Sequence[str], x: Tensor) -> Tensor:
    for name in steps:
        x = backbone.get_submodule(name)(x)
    return x
