"""EfficientNet, MobileNetV2, V3 and V4 and their kin in timm: nets made of timm's EfficientNet units.

Shape-changing units have no shortcut here: they are frozen transitions in front of a residual run. Residuals below
leave out what only they have: space-to-depth and anti-aliasing.
"""

import torch
from timm.models import _efficientnet_blocks as blocks
from timm.models.efficientnet import EfficientNet
from timm.models.mobilenetv3 import MobileNetV3
from torch import Tensor
from torch.nn import functional as F

from delta_core.families.base import Family, Net, Plain, SubBlockAdapter, Unit, Units, children


def _has_skip(unit: Unit) -> bool:
    return unit.has_skip


def _conv_bn_act(unit: Unit, x: Tensor) -> Tensor:
    return unit.drop_path(unit.bn1(unit.conv(x)))


def _depthwise_separable(unit: Unit, x: Tensor) -> Tensor:
    x = unit.se(unit.bn1(unit.conv_dw(x)))
    return unit.drop_path(unit.bn2(unit.conv_pw(x)))


def _inverted(unit: Unit, x: Tensor) -> Tensor:
    x = unit.bn1(unit.conv_pw(x))
    x = unit.se(unit.bn2(unit.conv_dw(x)))
    return unit.drop_path(unit.bn3(unit.conv_pwl(x)))


def _conditional(unit: Unit, x: Tensor) -> Tensor:
    routing = torch.sigmoid(unit.routing_fn(F.adaptive_avg_pool2d(x, 1).flatten(1)))
    x = unit.bn1(unit.conv_pw(x, routing))
    x = unit.se(unit.bn2(unit.conv_dw(x, routing)))
    return unit.drop_path(unit.bn3(unit.conv_pwl(x, routing)))


def _edge(unit: Unit, x: Tensor) -> Tensor:
    x = unit.se(unit.bn1(unit.conv_exp(x)))
    return unit.drop_path(unit.bn2(unit.conv_pwl(x)))


def _universal(unit: Unit, x: Tensor) -> Tensor:
    x = unit.se(unit.dw_mid(unit.pw_exp(unit.dw_start(x))))
    return unit.drop_path(unit.layer_scale(unit.dw_end(unit.pw_proj(x))))


def _with_position(unit: Unit, x: Tensor) -> Tensor:
    """Shortcut of MobileAttention, whose conditional position encoding lies in front of the fork."""
    return x if unit.conv_cpe_dw is None else x + unit.conv_cpe_dw(x)


def _attention(unit: Unit, x: Tensor) -> Tensor:
    return unit.drop_path(unit.layer_scale(unit.attn(unit.norm(_with_position(unit, x)))))


def _attention_channels(unit: Unit) -> tuple[int, int]:
    # Attention has no common name for its projections, but a unit with a shortcut keeps its width.
    return unit.norm.num_features, unit.norm.num_features


SUB_BLOCKS = {
    blocks.ConvBnAct: SubBlockAdapter(
        residual=_conv_bn_act,
        channels=lambda unit: (unit.conv.in_channels, unit.conv.out_channels),
        has_skip=_has_skip,
    ),
    blocks.DepthwiseSeparableConv: SubBlockAdapter(
        residual=_depthwise_separable,
        channels=lambda unit: (unit.conv_dw.in_channels, unit.conv_pw.out_channels),
        has_skip=_has_skip,
    ),
    blocks.InvertedResidual: SubBlockAdapter(
        residual=_inverted,
        channels=lambda unit: (unit.conv_pw.in_channels, unit.conv_pwl.out_channels),
        has_skip=_has_skip,
    ),
    blocks.CondConvResidual: SubBlockAdapter(
        residual=_conditional,
        channels=lambda unit: (unit.conv_pw.in_channels, unit.conv_pwl.out_channels),
        has_skip=_has_skip,
    ),
    blocks.EdgeResidual: SubBlockAdapter(
        residual=_edge,
        channels=lambda unit: (unit.conv_exp.in_channels, unit.conv_pwl.out_channels),
        has_skip=_has_skip,
    ),
    blocks.UniversalInvertedResidual: SubBlockAdapter(
        residual=_universal,
        channels=lambda unit: (unit.pw_exp.conv.in_channels, unit.pw_proj.conv.out_channels),
        has_skip=_has_skip,
    ),
    blocks.MobileAttention: SubBlockAdapter(
        residual=_attention,
        channels=_attention_channels,
        shortcut=_with_position,
        has_skip=_has_skip,
    ),
}


def _mobilenet_layout(net: Net) -> list[Plain | Units]:
    """The head convolution of MobileNetV3 stands behind the pooling, so it belongs to the head."""
    stages = [Units(name=name, units=children(net, name)) for name in children(net, "blocks")]
    return [Plain(modules=("conv_stem", "bn1")), *stages]


def _efficientnet_layout(net: Net) -> list[Plain | Units]:
    return [*_mobilenet_layout(net), Plain(modules=("conv_head", "bn2"))]


FAMILIES = {
    EfficientNet: Family(layout=_efficientnet_layout),
    MobileNetV3: Family(layout=_mobilenet_layout),
}
