"""Families of CNNs that can be patched: how a net is cut into blocks and a block into sub-blocks.

A net is a sequence of stages. A stage is either run as it is (`Plain`) or is a `Block` whose residual sub-blocks can
be gated. Only names of modules are kept, so a layout survives deepcopy, pickling and moves between devices.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from timm.models._efficientnet_blocks import DepthwiseSeparableConv, InvertedResidual
from timm.models.convnext import ConvNeXt, ConvNeXtBlock
from timm.models.efficientnet import EfficientNet
from timm.models.resnet import BasicBlock, Bottleneck, ResNet
from torch import Tensor, nn

from delta_core.errors import DeltaError

Unit = Any
"""A residual unit of timm; their classes share no typed interface."""


@dataclass(frozen=True, kw_only=True)
class SubBlockAdapter:
    """A residual unit taken apart: output = activation(residual(x) + shortcut(x)). All functions take (module, x)."""

    residual: Callable[[Unit, Tensor], Tensor]
    """Everything up to the addition."""
    shortcut: Callable[[Unit, Tensor], Tensor]
    """The unit's own skip connection: identity, or its frozen down-sampling projection."""
    activation: Callable[[Unit, Tensor], Tensor]
    """What follows the addition."""
    channels: Callable[[Unit], tuple[int, int]]
    """Channels that enter and leave the unit."""


@dataclass(frozen=True, kw_only=True)
class Plain:
    """Modules that always run untouched, in this order."""

    modules: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Block:
    """A block that can be gated: a run of residual sub-blocks."""

    name: str
    sub_blocks: tuple[str, ...]
    in_channels: int
    """Channels entering the first sub-block, i.e. what the Delta-module reads."""
    out_channels: int


Stage = Plain | Block


def _identity(_: Unit, x: Tensor) -> Tensor:
    return x


def _basic_residual(unit: Unit, x: Tensor) -> Tensor:
    x = unit.aa(unit.act1(unit.drop_block(unit.bn1(unit.conv1(x)))))
    return _se_and_drop_path(unit, unit.bn2(unit.conv2(x)))


def _bottleneck_residual(unit: Unit, x: Tensor) -> Tensor:
    x = unit.act1(unit.bn1(unit.conv1(x)))
    x = unit.aa(unit.act2(unit.drop_block(unit.bn2(unit.conv2(x)))))
    return _se_and_drop_path(unit, unit.bn3(unit.conv3(x)))


def _se_and_drop_path(unit: Unit, x: Tensor) -> Tensor:
    if unit.se is not None:
        x = unit.se(x)
    return x if unit.drop_path is None else unit.drop_path(x)


def _resnet_shortcut(unit: Unit, x: Tensor) -> Tensor:
    return x if unit.downsample is None else unit.downsample(x)


def _convnext_residual(unit: Unit, x: Tensor) -> Tensor:
    x = unit.conv_dw(x)
    if unit.use_conv_mlp:
        x = unit.mlp(unit.norm(x))
    else:  # linear layers want channels last
        x = x.permute(0, 2, 3, 1)
        x = unit.mlp(unit.norm(x))
        x = x.permute(0, 3, 1, 2)
    if unit.gamma is not None:
        x = x.mul(unit.gamma.reshape(1, -1, 1, 1))
    return unit.drop_path(x)


def _convnext_shortcut(unit: Unit, x: Tensor) -> Tensor:
    return unit.shortcut(x)


def _depthwise_separable_residual(unit: Unit, x: Tensor) -> Tensor:
    if unit.conv_s2d is not None:
        x = unit.bn_s2d(unit.conv_s2d(x))
    x = unit.se(unit.aa(unit.bn1(unit.conv_dw(x))))
    return unit.drop_path(unit.bn2(unit.conv_pw(x)))


def _inverted_residual(unit: Unit, x: Tensor) -> Tensor:
    if unit.conv_s2d is not None:
        x = unit.bn_s2d(unit.conv_s2d(x))
    x = unit.bn1(unit.conv_pw(x))
    x = unit.se(unit.aa(unit.bn2(unit.conv_dw(x))))
    return unit.drop_path(unit.bn3(unit.conv_pwl(x)))


# Exact types: a subclass may compute something else (CondConvResidual does), so it needs an adapter of its own.
SUB_BLOCKS: dict[type[nn.Module], SubBlockAdapter] = {
    BasicBlock: SubBlockAdapter(
        residual=_basic_residual,
        shortcut=_resnet_shortcut,
        activation=lambda unit, x: unit.act2(x),
        channels=lambda unit: (unit.conv1.in_channels, unit.conv2.out_channels),
    ),
    Bottleneck: SubBlockAdapter(
        residual=_bottleneck_residual,
        shortcut=_resnet_shortcut,
        activation=lambda unit, x: unit.act3(x),
        channels=lambda unit: (unit.conv1.in_channels, unit.conv3.out_channels),
    ),
    ConvNeXtBlock: SubBlockAdapter(
        residual=_convnext_residual,
        shortcut=_convnext_shortcut,
        activation=_identity,
        channels=lambda unit: (unit.conv_dw.in_channels, unit.conv_dw.out_channels),
    ),
    DepthwiseSeparableConv: SubBlockAdapter(
        residual=_depthwise_separable_residual,
        shortcut=_identity,
        activation=_identity,
        channels=lambda unit: (unit.conv_dw.in_channels, unit.conv_pw.out_channels),
    ),
    InvertedResidual: SubBlockAdapter(
        residual=_inverted_residual,
        shortcut=_identity,
        activation=_identity,
        channels=lambda unit: (unit.conv_pw.in_channels, unit.conv_pwl.out_channels),
    ),
}


def _block(net: nn.Module, name: str, sub_blocks: tuple[str, ...]) -> Block:
    for unit in sub_blocks:
        kind = type(net.get_submodule(unit))
        if kind not in SUB_BLOCKS:
            known = ", ".join(sorted(known.__name__ for known in SUB_BLOCKS))
            raise DeltaError(
                f"{name} of {type(net).__name__} has sub-blocks of type {kind.__name__}; supported are {known}. "
                "Add a SubBlockAdapter for it in delta_core/families.py."
            )
    first, last = (net.get_submodule(unit) for unit in (sub_blocks[0], sub_blocks[-1]))
    return Block(
        name=name,
        sub_blocks=sub_blocks,
        in_channels=SUB_BLOCKS[type(first)].channels(first)[0],
        out_channels=SUB_BLOCKS[type(last)].channels(last)[1],
    )


def _children(net: nn.Module, name: str) -> tuple[str, ...]:
    return tuple(f"{name}.{child}" for child, _ in net.get_submodule(name).named_children())


def _resnet_stages(net: ResNet) -> list[Stage]:
    layers = [f"layer{i}" for i in range(1, 5)]
    blocks = [_block(net, name, _children(net, name)) for name in layers]
    return [Plain(modules=("conv1", "bn1", "act1", "maxpool")), *blocks]


def _convnext_stages(net: ConvNeXt) -> list[Stage]:
    stages: list[Stage] = [Plain(modules=("stem",))]
    for name in _children(net, "stages"):
        # The down-sampling stands in front of the block: the module reads what enters the first sub-block.
        stages.append(Plain(modules=(f"{name}.downsample",)))
        stages.append(_block(net, name, _children(net, f"{name}.blocks")))
    return [*stages, Plain(modules=("norm_pre",))]


def _efficientnet_stages(net: EfficientNet) -> list[Stage]:
    """Shape-changing units have no shortcut here: they are frozen transitions in front of the residual run."""
    stages: list[Stage] = [Plain(modules=("conv_stem", "bn1"))]
    for name in _children(net, "blocks"):
        units = _children(net, name)
        residual = [bool(getattr(net.get_submodule(unit), "has_skip", False)) for unit in units]
        first = residual.index(True) if any(residual) else len(units)
        stages.append(Plain(modules=units[:first]))
        if any(residual) and all(residual[first:]):
            stages.append(_block(net, name, units[first:]))
        else:
            stages.append(Plain(modules=units[first:]))
    return [*stages, Plain(modules=("conv_head", "bn2"))]


FAMILIES: dict[type[nn.Module], Callable[..., list[Stage]]] = {
    ResNet: _resnet_stages,
    ConvNeXt: _convnext_stages,
    EfficientNet: _efficientnet_stages,
}


def stages_of(net: nn.Module) -> tuple[Stage, ...]:
    """Cut a net into stages, in forward order, up to (not including) the pooling in front of its head.

    Raises:
        DeltaError: if the net, or one of its sub-blocks, is of a type that has no entry in this file.
    """
    for family, cut in FAMILIES.items():
        if isinstance(net, family):
            return tuple(cut(net))
    known = ", ".join(family.__name__ for family in FAMILIES)
    raise DeltaError(
        f"A net of type {type(net).__name__} cannot be patched yet; supported families are timm's {known}."
    )


# timm's common head interface, which nn.Module does not know.


def pool(net: nn.Module, x: Tensor) -> Tensor:
    """Features (B, C, H, W) -> pooled features (B, F) as the net's own head sees them."""
    return cast(Any, net).forward_head(x, pre_logits=True)


def feature_size(net: nn.Module) -> int:
    """F, the width of pooled features."""
    return getattr(net, "head_hidden_size", None) or cast(Any, net).num_features


def base_head(net: nn.Module) -> nn.Module:
    """The classifier of the base task."""
    return cast(Any, net).get_classifier()
