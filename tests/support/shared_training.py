"""What tests of shared runs train, in the processes that share it and in one alone; in double precision, so that what
rounding does stays small."""

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import torch
from lightning_fabric import Fabric
from tiny import RECIPE, basic_block_net, efficientnet_lite_net, tensor_split
from torch import Tensor, nn

from delta_core import DeltaConfig, DeltaModel, backbone_fingerprint
from delta_core.families import base_head
from delta_core.training.checkpoint import Checkpoint
from delta_core.training.engine import predict_split, train_module
from delta_core.training.interrupts import Interrupted
from delta_core.training.recipe import Recipe


class InDouble(nn.Module):
    """A net that takes images in single precision and is itself in double."""

    def __init__(self, net: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.net = net.double()
        self.head = head

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.net(x.double()))


def plain() -> InDouble:
    """Without BatchNorm."""
    torch.manual_seed(2)
    head = nn.Linear(24, 3)
    norm = nn.GroupNorm(2, 6)
    return InDouble(
        nn.Sequential(nn.Conv2d(3, 6, 3), norm, nn.GELU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), head), head
    )


def batch_norm() -> InDouble:
    """With BatchNorms that train, as torch has them."""
    net = basic_block_net()
    return InDouble(net, base_head(net))


def batch_norm_act() -> InDouble:
    """With timm's BatchNorms that hold an activation; no part of a net without one of them is left out."""
    net = efficientnet_lite_net()
    for module in net.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return InDouble(net, base_head(net))


def patched() -> InDouble:
    """A frozen net with a patch, whose BatchNorms train."""
    model = DeltaModel(basic_block_net())
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model.add_patch("task", num_classes=3, config=DeltaConfig.paper(n_modules=2))
    return InDouble(model, model.patch().head)


NETS: dict[str, Callable[[], InDouble]] = {
    "plain": plain,
    "batch_norm": batch_norm,
    "batch_norm_act": batch_norm_act,
    "patched": patched,
}


@dataclass(frozen=True)
class Trained:
    """What came of a training in one process."""

    state: dict[str, Tensor]
    losses: list[float]
    steps: int
    logits: Tensor
    backbone: str
    images: int
    """That went through the net in training."""
    interrupted: bool = False


def train(
    fabric: Fabric,
    net: str,
    changes: dict[str, object],
    images: int,
    checkpoint: Path | None = None,
    interrupt_at: int | None = None,
) -> Trained:
    """Train a net by name on random images; a signal comes to the last process after the step `interrupt_at`."""
    model = NETS[net]()
    model.train()
    split = tensor_split(images, 3, seed=0, size=48)
    recipe: Recipe = replace(RECIPE, **{"epochs": 2, "optimizer": "sgd", "lr": 0.02, "clip_norm": 0.5} | changes)  # type: ignore[arg-type]
    losses: list[float] = []
    seen: list[int] = []
    steps_seen: list[None] = []
    model.register_forward_pre_hook(lambda _, given: seen.append(len(given[0])))

    def after_step(*_: object) -> None:
        steps_seen.append(None)
        if len(steps_seen) == interrupt_at and fabric.global_rank == fabric.world_size - 1:
            os.kill(os.getpid(), signal.SIGTERM)

    model.head.weight.register_post_accumulate_grad_hook(after_step)
    interrupted, steps = False, 0
    kept = None if checkpoint is None else Checkpoint(path=checkpoint, every_s=0.0 if interrupt_at is None else 1e6)
    before = signal.signal(signal.SIGTERM, _raise)
    try:
        steps = train_module(
            model, model.head, split, recipe, fabric, seed=1,
            on_epoch=lambda _, loss: losses.append(loss), checkpoint=kept,
        )  # fmt: skip
    except Interrupted:
        interrupted = True
    finally:
        signal.signal(signal.SIGTERM, before)
    trained_on = sum(seen)
    return Trained(
        state={name: tensor.clone() for name, tensor in model.state_dict().items()},
        losses=losses,
        steps=steps,
        logits=predict_split(model, tensor_split(37, 3, seed=4, size=48), fabric),
        backbone=backbone_fingerprint(model.net.backbone) if net == "patched" else "",  # type: ignore[arg-type]
        images=trained_on,
        interrupted=interrupted,
    )


def _raise(number: int, _: object) -> None:
    raise Interrupted(number)
