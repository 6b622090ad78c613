"""What a model carries at the moment, as data."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ParamCounts:
    """Numbers of parameters; the head is counted apart because the paper's counts leave it out (ERRATA 12).

    Example:
        >>> ParamCounts(delta=444, head=10, frozen=11_000).total
        11454
    """

    delta: int
    head: int
    frozen: int

    @property
    def total(self) -> int:
        """All parameters that a forward pass uses."""
        return self.delta + self.head + self.frozen


@dataclass(frozen=True, kw_only=True)
class PatchStatus:
    """One patch of a model.

    Example:
        >>> from delta_core import DeltaConfig, create_model
        >>> model = create_model("resnet10t", weights="none", config=DeltaConfig(n_modules=2), num_classes=17)
        >>> model.status().patches[0].gated_blocks
        ('layer3', 'layer4')
    """

    name: str
    num_classes: int
    gated_blocks: tuple[str, ...]
    """Names of the blocks it gates, in forward order; empty for a head alone."""
    params: ParamCounts
    trainable: bool | None
    """Whether its parameters take gradients; None is irregular: some do and some do not."""


@dataclass(frozen=True, kw_only=True)
class DeltaStatus:
    """A model and its patches.

    Example:
        >>> from delta_core import create_model
        >>> status = create_model("resnet10t", weights="none", num_classes=17).status()
        >>> status.architecture, status.active_patch, status.frozen
        ('resnet10t', 'default', True)
    """

    architecture: str
    weights: str
    active_patch: str | None
    scale: float
    patches: tuple[PatchStatus, ...]
    frozen: bool
    """Whether the freezing contract holds: no gradient, no BatchNorm in train mode, bytes unchanged."""
    broken_contract: str
    """What breaks it; empty when it holds."""
