"""What a model carries at the moment, as data."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ParamCounts:
    """Numbers of parameters; the head is counted apart because the paper's counts leave it out (ERRATA 12)."""

    delta: int
    head: int
    frozen: int

    @property
    def total(self) -> int:
        """All parameters that a forward pass uses."""
        return self.delta + self.head + self.frozen


@dataclass(frozen=True, kw_only=True)
class PatchStatus:
    """One patch of a model."""

    name: str
    num_classes: int
    gated_blocks: tuple[str, ...]
    """Names of the blocks it gates, in forward order; empty for a head alone."""
    params: ParamCounts
    trainable: bool | None
    """Whether its parameters take gradients; None is irregular: some do and some do not."""


@dataclass(frozen=True, kw_only=True)
class DeltaStatus:
    """A model and its patches."""

    architecture: str
    weights: str
    active_patch: str | None
    scale: float
    patches: tuple[PatchStatus, ...]
    frozen: bool
    """Whether the freezing contract holds: no gradient, no BatchNorm in train mode, bytes unchanged."""
    broken_contract: str
    """What breaks it; empty when it holds."""
