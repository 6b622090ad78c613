"""RegNet X, Y, Z and V of timm and RegNet X, Y of torchvision."""

from timm.models import regnet as timm_regnet
from torch import Tensor
from torchvision.models import regnet as tv_regnet

from delta_core.families import torchvision_head
from delta_core.families.base import Family, Net, Plain, SubBlockAdapter, Unit, Units, children


def _residual(unit: Unit, x: Tensor) -> Tensor:
    return unit.drop_path(unit.conv3(unit.se(unit.conv2(unit.conv1(x)))))


def _pre_residual(unit: Unit, x: Tensor) -> Tensor:
    x = unit.norm2(unit.conv1(unit.norm1(x)))
    return unit.drop_path(unit.conv3(unit.norm3(unit.se(unit.conv2(x)))))


def _has_skip(unit: Unit) -> bool:
    return unit.downsample is not None


SUB_BLOCKS = {
    timm_regnet.Bottleneck: SubBlockAdapter(
        residual=_residual,
        channels=lambda unit: (unit.conv1.conv.in_channels, unit.conv3.conv.out_channels),
        shortcut=lambda unit, x: unit.downsample(x),
        activation=lambda unit, x: unit.act3(x),
        has_skip=_has_skip,
    ),
    timm_regnet.PreBottleneck: SubBlockAdapter(
        residual=_pre_residual,
        channels=lambda unit: (unit.conv1.in_channels, unit.conv3.out_channels),
        shortcut=lambda unit, x: unit.downsample(unit.norm1(x)),  # the fork lies behind the first norm
        has_skip=_has_skip,
    ),
    tv_regnet.ResBottleneckBlock: SubBlockAdapter(
        residual=lambda unit, x: unit.f(x),
        channels=lambda unit: (unit.f.a[0].in_channels, unit.f.c[0].out_channels),
        shortcut=lambda unit, x: x if unit.proj is None else unit.proj(x),
        activation=lambda unit, x: unit.activation(x),
    ),
}


def _timm_layout(net: Net) -> list[Plain | Units]:
    stages = [Units(name=name, units=children(net, name)) for name in ("s1", "s2", "s3", "s4")]
    return [Plain(modules=("stem",)), *stages, Plain(modules=("final_conv",))]


def _tv_layout(net: Net) -> list[Plain | Units]:
    stages = [Units(name=name, units=children(net, name)) for name in children(net, "trunk_output")]
    return [Plain(modules=("stem",)), *stages]


FAMILIES = {
    timm_regnet.RegNet: Family(layout=_timm_layout),
    tv_regnet.RegNet: torchvision_head.family(_tv_layout),
}
