"""Multi-scale features: which modules of a net end a level of resolution, and what they put out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from delta_core.families import Block, Stage


@dataclass(frozen=True, kw_only=True)
class FeatureInfo:
    """One level of features, named as timm names them.

    Example:
        >>> from delta_core import create_model
        >>> create_model("resnet10t", weights="none").feature_info[-1]
        FeatureInfo(module='layer4', num_chs=512, reduction=32)
    """

    module: str
    """The level is the output of this module, or of the gated block of this name."""
    num_chs: int
    reduction: int
    """Input size over feature size, in pixels."""


def feature_info(net: nn.Module, stages: Sequence[Stage]) -> tuple[FeatureInfo, ...]:
    """Levels of a net: timm's own `feature_info`; the blocks where a net has none (their reduction is then 0: unknown).

    >>> import timm
    >>> from delta_core.families import stages_of
    >>> net = timm.create_model("resnet10t")
    >>> [(level.module, level.reduction) for level in feature_info(net, stages_of(net))]
    [('act1', 2), ('layer1', 4), ('layer2', 8), ('layer3', 16), ('layer4', 32)]
    """
    levels: list[dict[str, Any]] | None = getattr(net, "feature_info", None)
    if levels is None:
        blocks = (stage for stage in stages if isinstance(stage, Block))
        return tuple(FeatureInfo(module=block.name, num_chs=block.out_channels, reduction=0) for block in blocks)
    return tuple(FeatureInfo(**{name: level[name] for name in ("module", "num_chs", "reduction")}) for level in levels)


def taps(levels: Sequence[FeatureInfo], stages: Sequence[Stage]) -> dict[str, int]:
    """Name of the step (module of a plain stage, or block) that ends each level -> index of the level."""
    steps = [name for stage in stages for name in ([stage.name] if isinstance(stage, Block) else stage.modules)]
    ends: dict[str, int] = {}
    for index, level in enumerate(levels):
        inside = [name for name in steps if name == level.module or name.startswith(f"{level.module}.")]
        ends[inside[-1]] = index
    return ends
