"""Patch a frozen CNN for many tasks with input-conditioned skip connections; the base never changes by a bit."""

from delta_core.config import DeltaConfig
from delta_core.errors import DeltaError, FrozenError
from delta_core.freeze import assert_frozen, backbone_fingerprint
from delta_core.model import DeltaModel, ParamCounts

__all__ = [
    "DeltaConfig",
    "DeltaError",
    "DeltaModel",
    "FrozenError",
    "ParamCounts",
    "assert_frozen",
    "backbone_fingerprint",
]
