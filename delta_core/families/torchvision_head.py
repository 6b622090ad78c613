"""Heads of torchvision's nets: global average pooling, then `fc` or a `classifier` that ends in a linear layer."""

from collections.abc import Callable, Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from delta_core.errors import DeltaError
from delta_core.families.base import Family, Net, Plain, Units


def family(
    layout: Callable[[Net], Sequence[Plain | Units]], *, pool: Callable[[Net, Tensor], Tensor] | None = None
) -> Family:
    """A family of torchvision nets; `pool` where the layers in front of the last linear one are not all modules."""
    return Family(layout=layout, pool=pool or default_pool, feature_size=feature_size, head=head)


def default_pool(net: Net, x: Tensor) -> Tensor:
    """`Family.pool`: (B, C, H, W) -> (B, F), with all of the head but its last linear layer."""
    x = F.adaptive_avg_pool2d(x, 1)
    for layer in _layers(net)[:-1]:
        # Linear layers want (B, C); ConvNeXt normalises before it flattens by itself.
        x = layer(x.flatten(1) if isinstance(layer, nn.Linear) else x)
    return x.flatten(1)


def feature_size(net: Net) -> int:
    """`Family.feature_size`. Raises DeltaError where the head does not tell it."""
    last = head(net)
    if not hasattr(last, "in_features"):
        raise DeltaError(
            f"The head of this {type(net).__name__} is of type {type(last).__name__} and does not tell how wide "
            "features are; save the net's state_dict and give create_model that file, which may lack a head."
        )
    return last.in_features


def head(net: Net) -> nn.Linear:
    """`Family.head`."""
    return _layers(net)[-1]


def _layers(net: Net) -> list[Net]:
    if hasattr(net, "fc"):
        return [net.fc]
    return [*net.classifier] if isinstance(net.classifier, nn.Sequential) else [net.classifier]
