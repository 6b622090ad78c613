"""DenseNet of timm and torchvision: a block is a dense block, its sub-blocks are dense layers.

Every skip exists already: layer j reads all nodes before it side by side, node 0 being the block's input and node j the
new features of layer j.
"""

from timm.models import densenet as timm_densenet
from torch import Tensor
from torch.nn import functional as F
from torchvision.models import densenet as tv_densenet

from delta_core.families import torchvision_head
from delta_core.families.base import Family, Net, Plain, SubBlockAdapter, Unit, Units, children


def _layer(unit: Unit, x: Tensor) -> Tensor:
    return unit(x)


def _channels(unit: Unit) -> tuple[int, int]:
    return unit.norm1.num_features, unit.conv2.out_channels


_DENSE_LAYER = SubBlockAdapter(residual=_layer, channels=_channels)

SUB_BLOCKS = {timm_densenet.DenseLayer: _DENSE_LAYER, tv_densenet._DenseLayer: _DENSE_LAYER}


def _layout(net: Net) -> list[Plain | Units]:
    dense = (timm_densenet.DenseBlock, tv_densenet._DenseBlock)
    return [
        Units(name=name, units=children(net, name), wiring="concat")
        if isinstance(net.get_submodule(name), dense)
        else Plain(modules=(name,))
        for name in children(net, "features")
    ]


def _tv_pool(net: Net, x: Tensor) -> Tensor:
    return torchvision_head.default_pool(net, F.relu(x))  # torchvision's last norm has no activation of its own


FAMILIES = {
    timm_densenet.DenseNet: Family(layout=_layout),
    tv_densenet.DenseNet: torchvision_head.family(_layout, pool=_tv_pool),
}
