"""Patch a frozen CNN for many tasks with input-conditioned skip connections; the base never changes by a bit."""

from delta_core.config import DeltaConfig
from delta_core.errors import DeltaError, FrozenError
from delta_core.features import FeatureInfo
from delta_core.freeze import assert_frozen, backbone_fingerprint
from delta_core.model import DeltaModel
from delta_core.patch_file import PatchFile
from delta_core.patch_io import load_patch, read_patch, save_patch
from delta_core.status import DeltaStatus, ParamCounts, PatchStatus
from delta_core.weights import Preprocessing

__all__ = [
    "DeltaConfig",
    "DeltaError",
    "DeltaModel",
    "DeltaStatus",
    "FeatureInfo",
    "FrozenError",
    "ParamCounts",
    "PatchFile",
    "PatchStatus",
    "Preprocessing",
    "assert_frozen",
    "backbone_fingerprint",
    "load_patch",
    "read_patch",
    "save_patch",
]
