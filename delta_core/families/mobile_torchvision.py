"""EfficientNet, MobileNetV2 and MobileNetV3 of torchvision.

Shape-changing units have no shortcut here: they are frozen transitions in front of a residual run.
"""

from torch import Tensor
from torchvision.models import efficientnet, mobilenetv2, mobilenetv3

from delta_core.families import torchvision_head
from delta_core.families.base import Net, Plain, SubBlockAdapter, Unit, Units, children


def _has_skip(unit: Unit) -> bool:
    return unit.use_res_connect


def _block(unit: Unit, x: Tensor) -> Tensor:
    return unit.block(x)


def _block_and_drop_path(unit: Unit, x: Tensor) -> Tensor:
    return unit.stochastic_depth(unit.block(x))


def _block_channels(unit: Unit) -> tuple[int, int]:
    return unit.block[0][0].in_channels, unit.out_channels


_MBCONV = SubBlockAdapter(residual=_block_and_drop_path, channels=_block_channels, has_skip=_has_skip)

SUB_BLOCKS = {
    efficientnet.MBConv: _MBCONV,
    efficientnet.FusedMBConv: _MBCONV,
    mobilenetv2.InvertedResidual: SubBlockAdapter(
        residual=lambda unit, x: unit.conv(x),
        channels=lambda unit: (unit.conv[0][0].in_channels, unit.out_channels),
        has_skip=_has_skip,
    ),
    mobilenetv3.InvertedResidual: SubBlockAdapter(residual=_block, channels=_block_channels, has_skip=_has_skip),
}


def _efficientnet_layout(net: Net) -> list[Plain | Units]:
    stem, *stages, last = children(net, "features")
    return [
        Plain(modules=(stem,)),
        *(Units(name=name, units=children(net, name)) for name in stages),
        Plain(modules=(last,)),
    ]


def _mobilenet_layout(net: Net) -> list[Plain | Units]:
    """All units of a MobileNet follow one another; those without shortcut set the stages apart."""
    stem, *units, last = children(net, "features")
    return [Plain(modules=(stem,)), Units(name="features", units=tuple(units)), Plain(modules=(last,))]


FAMILIES = {
    efficientnet.EfficientNet: torchvision_head.family(_efficientnet_layout),
    mobilenetv2.MobileNetV2: torchvision_head.family(_mobilenet_layout),
    mobilenetv3.MobileNetV3: torchvision_head.family(_mobilenet_layout),
}
