"""ResNet, ResNeXt and Wide ResNet of timm (with any attention in the units) and torchvision."""

from timm.models import resnet as timm_resnet
from torch import Tensor
from torchvision.models import resnet as tv_resnet

from delta_core.families import torchvision_head
from delta_core.families.base import Family, Net, Plain, SubBlockAdapter, Unit, Units, children


def _timm_basic_residual(unit: Unit, x: Tensor) -> Tensor:
    x = unit.aa(unit.act1(unit.drop_block(unit.bn1(unit.conv1(x)))))
    return _attention_and_drop_path(unit, unit.bn2(unit.conv2(x)))


def _timm_bottleneck_residual(unit: Unit, x: Tensor) -> Tensor:
    x = unit.act1(unit.bn1(unit.conv1(x)))
    x = unit.aa(unit.act2(unit.drop_block(unit.bn2(unit.conv2(x)))))
    return _attention_and_drop_path(unit, unit.bn3(unit.conv3(x)))


def _attention_and_drop_path(unit: Unit, x: Tensor) -> Tensor:
    if unit.se is not None:
        x = unit.se(x)
    return x if unit.drop_path is None else unit.drop_path(x)


def _tv_basic_residual(unit: Unit, x: Tensor) -> Tensor:
    return unit.bn2(unit.conv2(unit.relu(unit.bn1(unit.conv1(x)))))


def _tv_bottleneck_residual(unit: Unit, x: Tensor) -> Tensor:
    x = unit.relu(unit.bn1(unit.conv1(x)))
    return unit.bn3(unit.conv3(unit.relu(unit.bn2(unit.conv2(x)))))


def _shortcut(unit: Unit, x: Tensor) -> Tensor:
    return x if unit.downsample is None else unit.downsample(x)


def _basic_channels(unit: Unit) -> tuple[int, int]:
    return unit.conv1.in_channels, unit.conv2.out_channels


def _bottleneck_channels(unit: Unit) -> tuple[int, int]:
    return unit.conv1.in_channels, unit.conv3.out_channels


SUB_BLOCKS = {
    timm_resnet.BasicBlock: SubBlockAdapter(
        residual=_timm_basic_residual,
        channels=_basic_channels,
        shortcut=_shortcut,
        activation=lambda unit, x: unit.act2(x),
    ),
    timm_resnet.Bottleneck: SubBlockAdapter(
        residual=_timm_bottleneck_residual,
        channels=_bottleneck_channels,
        shortcut=_shortcut,
        activation=lambda unit, x: unit.act3(x),
    ),
    tv_resnet.BasicBlock: SubBlockAdapter(
        residual=_tv_basic_residual,
        channels=_basic_channels,
        shortcut=_shortcut,
        activation=lambda unit, x: unit.relu(x),
    ),
    tv_resnet.Bottleneck: SubBlockAdapter(
        residual=_tv_bottleneck_residual,
        channels=_bottleneck_channels,
        shortcut=_shortcut,
        activation=lambda unit, x: unit.relu(x),
    ),
}


def _layers(net: Net) -> list[Units]:
    return [Units(name=name, units=children(net, name)) for name in ("layer1", "layer2", "layer3", "layer4")]


def _timm_layout(net: Net) -> list[Plain | Units]:
    return [Plain(modules=("conv1", "bn1", "act1", "maxpool")), *_layers(net)]


def _tv_layout(net: Net) -> list[Plain | Units]:
    return [Plain(modules=("conv1", "bn1", "relu", "maxpool")), *_layers(net)]


FAMILIES = {
    timm_resnet.ResNet: Family(layout=_timm_layout),
    tv_resnet.ResNet: torchvision_head.family(_tv_layout),
}
