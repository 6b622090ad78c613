"""ConvNeXt (both versions) of timm and ConvNeXt of torchvision.

The down-sampling stands in front of the block: the module reads what enters the first sub-block.
"""

from timm.models import convnext as timm_convnext
from torch import Tensor
from torchvision.models import convnext as tv_convnext

from delta_core.families import torchvision_head
from delta_core.families.base import Family, Net, Plain, SubBlockAdapter, Unit, Units, children


def _timm_residual(unit: Unit, x: Tensor) -> Tensor:
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


def _tv_residual(unit: Unit, x: Tensor) -> Tensor:
    return unit.stochastic_depth(unit.layer_scale * unit.block(x))


SUB_BLOCKS = {
    timm_convnext.ConvNeXtBlock: SubBlockAdapter(
        residual=_timm_residual,
        channels=lambda unit: (unit.conv_dw.in_channels, unit.conv_dw.out_channels),
        shortcut=lambda unit, x: unit.shortcut(x),
    ),
    tv_convnext.CNBlock: SubBlockAdapter(
        residual=_tv_residual,
        channels=lambda unit: (unit.block[0].in_channels, unit.block[0].out_channels),
    ),
}


def _timm_layout(net: Net) -> list[Plain | Units]:
    layout: list[Plain | Units] = [Plain(modules=("stem",))]
    for name in children(net, "stages"):
        layout.append(Plain(modules=(f"{name}.downsample",)))
        layout.append(Units(name=name, units=children(net, f"{name}.blocks")))
    return [*layout, Plain(modules=("norm_pre",))]


def _tv_layout(net: Net) -> list[Plain | Units]:
    """Stem, stage, down-sampling, stage, ...: only stages hold CNBlocks."""
    return [
        Units(name=name, units=children(net, name)) if index % 2 else Plain(modules=(name,))
        for index, name in enumerate(children(net, "features"))
    ]


FAMILIES = {
    timm_convnext.ConvNeXt: Family(layout=_timm_layout),
    tv_convnext.ConvNeXt: torchvision_head.family(_tv_layout),
}
