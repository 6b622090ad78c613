"""Conv-Adapter (Chen et al. 2024, Hhhhhhao/Conv-Adapter): a light bottleneck beside or behind parts of each unit.

An adapter is a k x k convolution C -> w of w groups, the net's activation, a 1 x 1 convolution w -> D and a learnable
scale per channel; w = C / reduction. Kernel, stride, padding and dilation are those of the unit's spatial convolution.
"""

import copy
from dataclasses import dataclass
from math import gcd
from typing import Any, ClassVar, Literal, cast

import torch
from timm.layers.conv2d_same import Conv2dSame
from timm.models import _efficientnet_blocks as efficientnet
from timm.models import convnext, resnet
from torch import Tensor, nn

from benchmarks.methods.adapted import AdaptedMethod
from benchmarks.methods.parallel_adapters import Start, start_variant
from delta_core.families import SUB_BLOCKS
from delta_core.training.errors import UserError

Placement = Literal["conv_parallel", "conv_sequential", "residual_parallel", "residual_sequential"]
"""Beside or behind the unit's spatial convolution, or the same of the whole residual branch."""


@dataclass(frozen=True, kw_only=True)
class Parts:
    """Names of a unit's modules."""

    conv: str
    """The spatial convolution."""
    span: tuple[str, ...]
    """What the placements at the convolution take for it."""
    end: str
    """Last module of the residual branch."""
    activation: str
    shortcut: str | None = None
    """Module of the skip connection; None where the unit is left whole, and the adapter stands beside all of it."""


INVERTED = Parts(conv="conv_dw", span=("conv_dw",), end="bn3", activation="bn1.act")
UNITS: dict[type[nn.Module], Parts] = {
    resnet.BasicBlock: Parts(conv="conv1", span=("conv1",), end="bn2", activation="act1", shortcut="downsample"),
    resnet.Bottleneck: Parts(
        conv="conv2", span=("conv2", "bn2", "act2"), end="bn3", activation="act1", shortcut="downsample"
    ),
    convnext.ConvNeXtBlock: Parts(
        conv="conv_dw", span=("conv_dw",), end="drop_path", activation="mlp.act", shortcut="shortcut"
    ),
    efficientnet.InvertedResidual: INVERTED,
    efficientnet.DepthwiseSeparableConv: Parts(conv="conv_dw", span=("conv_dw",), end="bn2", activation="bn1.act"),
    efficientnet.EdgeResidual: Parts(conv="conv_exp", span=("conv_exp",), end="bn2", activation="bn1.act"),
    efficientnet.ConvBnAct: Parts(conv="conv", span=("conv",), end="bn1", activation="bn1.act"),
}
"""As in the authors' code where it says so: behind norm and activation of a bottleneck's convolution, in front of the
norm in the others; on the shortcut, before the activation, of ResNets; beside the whole unit of EfficientNets."""


class Adapter(nn.Module):
    """scale * pointwise(activation(grouped(x))), (B, C, H, W) -> (B, D, H', W')."""

    def __init__(self, grouped: nn.Conv2d, activation: nn.Module, out_channels: int) -> None:
        super().__init__()
        self.grouped = grouped
        self.activation = copy.deepcopy(activation)
        self.pointwise = nn.Conv2d(grouped.out_channels, out_channels, 1)
        self.scale = nn.Parameter(torch.empty(out_channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        y: Tensor = self.scale * self.pointwise(self.activation(self.grouped(x)))
        return y

    def draw_(self, std: float | None, start: Start) -> None:
        """Draw weights with a deviation, or by Kaiming's rule for outputs; biases start at zero."""
        for conv in (self.grouped, self.pointwise):
            if std is None:
                nn.init.kaiming_normal_(conv.weight, mode="fan_out")
            else:
                nn.init.trunc_normal_(conv.weight, std=std)
            nn.init.zeros_(cast(Tensor, conv.bias))
        nn.init.constant_(self.scale, 0.0 if start == "zero" else 1.0)


class Beside(nn.Module):
    """layer(x) + adapter(x)."""

    def __init__(self, layer: nn.Module, adapter: Adapter) -> None:
        super().__init__()
        self.layer, self.adapter = layer, adapter

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        y: Tensor = self.layer(x) + self.adapter(x)
        return y


class Behind(nn.Module):
    """y + adapter(y) with y = layer(x)."""

    def __init__(self, layer: nn.Module, adapter: Adapter) -> None:
        super().__init__()
        self.layer, self.adapter = layer, adapter

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        y = self.layer(x)
        added: Tensor = y + self.adapter(y)
        return added


@dataclass(frozen=True, kw_only=True)
class ConvAdapters(AdaptedMethod):
    """Train an adapter in each unit, and the head; norms and their statistics stay the backbone's.

    At the convolution, ConvNeXt's down-sampling convolutions get one too, as in the authors' code. That code stands
    beside whole units of EfficientNetV2 with the kernel of their expansion, 1 x 1 in most; here it is the depthwise
    convolution's as everywhere. It says nothing of depthwise-separable units and of EfficientNet's other placements:
    they are ConvNeXt's. In its ResNet and ConvNeXt `conv_parallel` alone is live; the others follow what is commented
    out. Weights are drawn as there, by Kaiming's rule in ResNets and (our choice) EfficientNets, small in ConvNeXt.
    Left out are the norm that their code adds in front of the pooling for every method, linear probing too, and that
    ConvNeXt's norms train there.
    """

    name: ClassVar[str] = "conv_adapter"
    placement: Placement = "conv_parallel"
    reduction: int = 8
    """The default of the authors' code."""
    start: Start = "drawn"
    """The authors' scales start at one; `zero` = at zero."""

    @property
    def variant(self) -> str:
        """The placement is the arm, and so is a start at zero."""
        return "+".join(filter(None, (self.placement, start_variant(self.start))))

    def adapt(self, net: nn.Module) -> None:
        """Put an adapter into each unit.

        Raises:
            UserError: if a unit is of a kind whose parts are not known here.
        """
        for name, module in list(net.named_modules()):
            if type(module) in SUB_BLOCKS:
                self._adapt_unit(net, name, module)
            elif isinstance(module, convnext.ConvNeXtStage) and self.placement.startswith("conv"):
                self._adapt_down_sampling(module)
        for module in net.modules():
            if isinstance(module, Adapter):
                module.draw_(0.02 if isinstance(net, convnext.ConvNeXt) else None, self.start)

    def _adapt_unit(self, net: nn.Module, name: str, unit: Any) -> None:
        parts = UNITS.get(type(unit))
        if parts is None:
            known = ", ".join(sorted(kind.__name__ for kind in UNITS))
            raise UserError(f"Conv-Adapter knows no place in {type(unit).__name__} ({name}); it knows {known}.")
        conv, activation = unit.get_submodule(parts.conv), unit.get_submodule(parts.activation)
        inputs, outputs = SUB_BLOCKS[type(unit)].channels(unit)
        if self.placement.startswith("conv"):
            span = nn.Sequential(*(unit.get_submodule(part) for part in parts.span))
            for part in parts.span[1:]:
                unit.set_submodule(part, nn.Identity())
            adapted = self._wrap(span, conv, activation, conv.in_channels, conv.out_channels)
            unit.set_submodule(parts.conv, adapted)
        elif self.placement == "residual_sequential":
            end = unit.get_submodule(parts.end)
            unit.set_submodule(parts.end, self._wrap(end, conv, activation, inputs, outputs))
        elif parts.shortcut is None:
            net.set_submodule(name, self._wrap(unit, conv, activation, inputs, outputs))
        else:
            shortcut = getattr(unit, parts.shortcut)
            shortcut = nn.Identity() if shortcut is None else shortcut
            setattr(unit, parts.shortcut, self._wrap(shortcut, conv, activation, inputs, outputs))

    def _adapt_down_sampling(self, stage: Any) -> None:
        """The convolution of ConvNeXt between two stages, behind a norm; the first stage has none."""
        for name, conv in stage.downsample.named_children():
            if isinstance(conv, nn.Conv2d):
                activation = stage.blocks[0].mlp.act
                adapted = self._wrap(conv, conv, activation, conv.in_channels, conv.out_channels)
                stage.downsample.set_submodule(name, adapted)

    def _wrap(
        self, layer: nn.Module, conv: nn.Conv2d, activation: nn.Module, inputs: int, outputs: int
    ) -> "Beside | Behind":
        """A layer with an adapter like `conv`, which reads what enters the layer or, behind it, what leaves it."""
        if self.placement.endswith("parallel"):
            return Beside(layer, Adapter(_grouped(conv, inputs, self.reduction), activation, outputs))
        return Behind(layer, Adapter(_grouped_in_place(conv, outputs, self.reduction), activation, outputs))


def _grouped(like: Any, channels: int, reduction: int) -> nn.Conv2d:
    """From C to C / reduction channels with the shape of another convolution, TensorFlow's padding included."""
    kind = Conv2dSame if isinstance(like, Conv2dSame) else nn.Conv2d
    width = max(1, channels // reduction)
    groups = gcd(channels, width)  # the width, where it divides the channels
    return kind(channels, width, like.kernel_size, like.stride, like.padding, like.dilation, groups)


def _grouped_in_place(like: Any, channels: int, reduction: int) -> nn.Conv2d:
    """The same at stride 1 and with padding that keeps the size: behind a convolution; even kernels shrink by one."""
    width = max(1, channels // reduction)
    kernel = tuple(size - 1 + size % 2 for size in like.kernel_size)
    padding = tuple(dilation * (size // 2) for dilation, size in zip(like.dilation, kernel, strict=True))
    return nn.Conv2d(channels, width, kernel, 1, padding, like.dilation, gcd(channels, width))
