"""Task-own parts on shared frozen weights: what adapters, scales, biases and low-rank updates have in common.

The task's net is a copy of the backbone in which every tensor that does not train *is* the backbone's own. So the proof
that the base stayed as it was is a proof about training, not about having kept a copy.
"""

import copy
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from itertools import chain
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from benchmarks.methods.base import EVAL_SPLITS, Cell, Method, Outcome, new_head
from benchmarks.methods.frozen import base_after
from benchmarks.nets.full_size import meta_net
from delta_core import backbone_fingerprint
from delta_core.families import FAMILIES, Units, base_head, feature_size, pool
from delta_core.training.engine import train_module
from delta_core.training.recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class AdaptedMethod(Method):
    """A method that adds parts to a frozen net, or gives the task its own copy of some of them."""

    @abstractmethod
    def adapt(self, net: nn.Module) -> None:
        """Add the task's parts to `net` in place; its tensors are frozen and shared, so replace what is to train."""

    def full_size_params(self, architecture: str) -> int:
        """What the method adds, or copies for the task."""
        return adapted_params(architecture, replace(self, recipe=Recipe()))  # which no count depends on

    def measure(self, cell: Cell) -> Outcome:
        """Train the parts and the head on the cell's task and measure task and base."""
        started = cell.stages.clock.seconds()
        backbone = cell.new_backbone()
        model = AdaptedNet(backbone, self.adapt, cell.task.classes, seed=cell.init_seed)
        steps = train_module(
            model,
            model.head,
            cell.task.train,
            self.recipe,
            cell.fabric,
            seed=cell.order_seed,
            checkpoint=cell.stages.training("training"),
        )
        train_s = cell.stages.clock.seconds() - started
        model.eval()
        task = tuple(cell.measure_task(model, split) for split in EVAL_SPLITS)
        base, equal = base_after(cell, backbone)
        return Outcome(
            measurements=(*cell.before(), *base, *task),
            params_delta=trainable(model.net),
            params_head=trainable(model.head),
            steps=steps,
            train_s=train_s,
            backbone_sha_after=backbone_fingerprint(backbone),
            base_logits_equal=equal,
        )


class AdaptedNet(nn.Module):
    """A net of the task's own parts and the backbone's tensors, and the task's head. Images (B, 3, H, W) -> logits.

    A module is in train mode only if all of its tensors are the task's own: a BatchNorm that still has the backbone's
    statistics must not move them.
    """

    def __init__(self, backbone: nn.Module, adapt: Callable[[nn.Module], None], classes: int, *, seed: int) -> None:
        super().__init__()
        device = next(backbone.parameters()).device
        shared = {id(tensor) for tensor in _tensors(backbone)}
        self.net = sharing_copy(backbone)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            adapt(self.net)
        self.net.to(device)
        self.own = [
            module
            for module in self.net.modules()
            if any(True for _ in _tensors(module, recurse=False))
            and not any(id(tensor) in shared for tensor in _tensors(module, recurse=False))
        ]
        self.head = new_head(feature_size(backbone), classes, seed, device)
        self.eval()

    def train(self, mode: bool = True) -> "AdaptedNet":
        """Set the mode of the task's own modules; the others stay in eval mode."""
        super().train(mode)
        self.net.eval()
        for module in self.own:
            module.training = mode
        return self

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        features = cast(Any, self.net).forward_features(x)
        return cast(Tensor, self.head(pool(self.net, features)))


def sharing_copy(backbone: nn.Module) -> nn.Module:
    """Freeze a net and copy it without its tensors: parameters and buffers of the copy are those of the net."""
    backbone.requires_grad_(False)
    return copy.deepcopy(backbone, {id(tensor): tensor for tensor in _tensors(backbone)})


def trainable(module: nn.Module) -> int:
    """Number of parameters that train."""
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)


def swap(net: nn.Module, chosen: Callable[[nn.Module], bool], make: Callable[[Any], nn.Module]) -> None:
    """Replace every chosen module of a net, but not its base head, by what `make` makes of it."""
    head = base_head(net)
    for name, module in list(net.named_modules()):
        if name and module is not head and chosen(module):
            net.set_submodule(name, make(module))


def stage_names(net: nn.Module) -> list[str]:
    """Names of a net's stages in forward order: `layer1` to `layer4` of a ResNet, `stages.0` to .3 of a ConvNeXt."""
    return [part.name for part in FAMILIES[type(net)].layout(net) if isinstance(part, Units)]


def is_norm(module: nn.Module) -> bool:
    """BatchNorm, LayerNorm or GroupNorm, with an affine."""
    return isinstance(module, _BatchNorm | nn.LayerNorm | nn.GroupNorm) and getattr(module, "weight", None) is not None


def is_spatial_conv(module: nn.Module) -> bool:
    """A convolution over a neighbourhood: 3 x 3, 7 x 7, depthwise or not; those that cut into patches are even."""
    return isinstance(module, nn.Conv2d) and module.kernel_size[0] > 1 and module.kernel_size[0] % 2 == 1


def own_norms(net: nn.Module) -> None:
    """Give the task its own norms, which start as the backbone's: affine, and for BatchNorm statistics too."""
    swap(net, is_norm, lambda norm: copy.deepcopy(norm).requires_grad_(True))


def _tensors(module: nn.Module, *, recurse: bool = True) -> chain[Tensor]:
    return chain(module.parameters(recurse), module.buffers(recurse))


@cache
def adapted_params(architecture: str, method: AdaptedMethod) -> int:
    """Trainable parameters that the method adds to the full-size timm net, or copies for the task, without the head."""
    with torch.device("meta"):
        net = meta_net(architecture).requires_grad_(False)
        method.adapt(net)
    return trainable(net)
