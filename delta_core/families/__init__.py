"""Families of CNNs that can be patched: how a net is cut into blocks and a block into sub-blocks.

One file per family states its unit types and its nets; this one puts them together. A net or unit of your own joins by
an explicit call of `register_family` or `register_sub_block`.
"""

from torch import Tensor, nn

from delta_core.errors import DeltaError
from delta_core.families import convnext, densenet, efficientnet, mobile_torchvision, regnet, resnet
from delta_core.families.base import Block, Family, Plain, Stage, SubBlockAdapter, Units, Wiring, children, cut

__all__ = [
    "FAMILIES",
    "SUB_BLOCKS",
    "Block",
    "Family",
    "Plain",
    "Stage",
    "SubBlockAdapter",
    "Units",
    "Wiring",
    "base_head",
    "children",
    "feature_size",
    "pool",
    "register_family",
    "register_sub_block",
    "stages_of",
]

_FILES = (resnet, convnext, efficientnet, mobile_torchvision, regnet, densenet)

SUB_BLOCKS: dict[type[nn.Module], SubBlockAdapter] = {k: v for file in _FILES for k, v in file.SUB_BLOCKS.items()}
FAMILIES: dict[type[nn.Module], Family] = {k: v for file in _FILES for k, v in file.FAMILIES.items()}


def register_sub_block(unit_type: type[nn.Module], adapter: SubBlockAdapter) -> None:
    """Make nets with units of exactly this type patchable; call it once, before the first such net is patched.

    Take the unit's `forward` apart at its addition, `activation(residual(x) + shortcut(x))`: each part takes the unit
    and its input. What is not given is the identity.

    Raises:
        DeltaError: if the type has an adapter already.

    Example:
        >>> class Residual(nn.Conv2d):
        ...     def forward(self, x):
        ...         return x + super().forward(x)
        >>> register_sub_block(Residual, SubBlockAdapter(
        ...     residual=lambda unit, x: nn.Conv2d.forward(unit, x),
        ...     channels=lambda unit: (unit.in_channels, unit.out_channels),
        ... ))
    """
    if unit_type in SUB_BLOCKS:
        raise DeltaError(f"{unit_type.__name__} has an adapter already; a changed unit needs a class of its own.")
    SUB_BLOCKS[unit_type] = adapter


def register_family(net_type: type[nn.Module], family: Family) -> None:
    """Make nets of exactly this class patchable; call it once, before the first such net is patched.

    A subclass with the same forward pass takes over its parent's family. A class of its own says in `Family.layout`
    which modules run, in forward order, up to the pooling: `Units` are runs of residual units, `Plain` is all else.

    Raises:
        DeltaError: if the class has a family already.

    Example:
        >>> from timm.models.resnet import ResNet
        >>> class MyResNet(ResNet):
        ...     "The same forward pass, so the same family."
        >>> register_family(MyResNet, FAMILIES[ResNet])
        >>> class TwoStages(nn.Module):
        ...     "Modules stem, stage1 and stage2, and timm's `forward_head`, `get_classifier` and `num_features`."
        >>> def layout(net):
        ...     stages = [Units(name=name, units=children(net, name)) for name in ("stage1", "stage2")]
        ...     return [Plain(modules=("stem",)), *stages]
        >>> register_family(TwoStages, Family(layout=layout))
    """
    if net_type in FAMILIES:
        raise DeltaError(f"{net_type.__name__} has a family already; a changed net needs a class of its own.")
    FAMILIES[net_type] = family


def stages_of(net: nn.Module) -> tuple[Stage, ...]:
    """Cut a net into stages, in forward order, up to (not including) the pooling in front of its head.

    Raises:
        DeltaError: if the net is of a class, or one of its sub-blocks of a type, that is not registered.

    Example:
        >>> import timm
        >>> [stage.name for stage in stages_of(timm.create_model("resnet10t")) if isinstance(stage, Block)]
        ['layer1', 'layer2', 'layer3', 'layer4']
    """
    stages: list[Stage] = []
    for part in _family(net).layout(net):
        stages.extend([part] if isinstance(part, Plain) else cut(net, part, SUB_BLOCKS))
    return tuple(stages)


def pool(net: nn.Module, x: Tensor) -> Tensor:
    """Features (B, C, H, W) -> pooled features (B, F) as the net's own classifier sees them."""
    return _family(net).pool(net, x)


def feature_size(net: nn.Module) -> int:
    """F, the width of pooled features."""
    return _family(net).feature_size(net)


def base_head(net: nn.Module) -> nn.Module:
    """The classifier of the base task: its last linear layer."""
    return _family(net).head(net)


def _family(net: nn.Module) -> Family:
    # Exact classes: a subclass may have another forward pass (torchvision's quantisable nets do).
    if type(net) not in FAMILIES:
        known = ", ".join(sorted({f"{family.__module__.partition('.')[0]}'s {family.__name__}" for family in FAMILIES}))
        raise DeltaError(
            f"A net of type {type(net).__name__} cannot be patched yet; supported families are {known}. "
            "Register its family; help(delta_core.register_family) says how."
        )
    return FAMILIES[type(net)]
