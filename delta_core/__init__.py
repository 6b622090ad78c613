"""Patch a frozen CNN for many tasks with input-conditioned skip connections; the base never changes by a bit.

What stands in `__all__` here is what most people need. Modules and names without a leading underscore are public, too:
each has a docstring. `delta_core.training` and `delta_core.tool` need the extra `train`, `delta_core.openmmlab` needs
`openmmlab`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from delta_core.config import DeltaConfig
    from delta_core.errors import DeltaError, FrozenError
    from delta_core.families import register_family, register_sub_block
    from delta_core.features import FeatureInfo
    from delta_core.folded import FoldedModel, fold_norms
    from delta_core.freeze import assert_frozen, backbone_fingerprint
    from delta_core.hub import download_patch
    from delta_core.joint import JointDelta
    from delta_core.model import DeltaModel
    from delta_core.patch_cache import PatchCache
    from delta_core.patch_file import PatchFile
    from delta_core.patch_io import load_patch, read_patch, save_patch
    from delta_core.status import DeltaStatus, ParamCounts, PatchStatus
    from delta_core.version import __version__
    from delta_core.weights import Preprocessing, load_backbone, preprocessing_of
    from delta_core.zoo import create_model, list_backbones, resolve_transform, wrap

__all__ = [
    "DeltaConfig",
    "DeltaError",
    "DeltaModel",
    "DeltaStatus",
    "FeatureInfo",
    "FoldedModel",
    "FrozenError",
    "JointDelta",
    "ParamCounts",
    "PatchCache",
    "PatchFile",
    "PatchStatus",
    "Preprocessing",
    "__version__",
    "assert_frozen",
    "backbone_fingerprint",
    "create_model",
    "download_patch",
    "fold_norms",
    "list_backbones",
    "load_backbone",
    "load_patch",
    "preprocessing_of",
    "read_patch",
    "register_family",
    "register_sub_block",
    "resolve_transform",
    "save_patch",
    "wrap",
]

_NAMES_OF = {
    "config": ("DeltaConfig",),
    "errors": ("DeltaError", "FrozenError"),
    "families": ("register_family", "register_sub_block"),
    "features": ("FeatureInfo",),
    "folded": ("FoldedModel", "fold_norms"),
    "freeze": ("assert_frozen", "backbone_fingerprint"),
    "hub": ("download_patch",),
    "joint": ("JointDelta",),
    "model": ("DeltaModel",),
    "patch_cache": ("PatchCache",),
    "patch_file": ("PatchFile",),
    "patch_io": ("load_patch", "read_patch", "save_patch"),
    "status": ("DeltaStatus", "ParamCounts", "PatchStatus"),
    "version": ("__version__",),
    "weights": ("Preprocessing", "load_backbone", "preprocessing_of"),
    "zoo": ("create_model", "list_backbones", "resolve_transform", "wrap"),
}
_HOME = {name: module for module, names in _NAMES_OF.items() for name in names}


def __getattr__(name: str) -> Any:  # PEP 562: torch and timm take seconds; the first name that uses them brings them in
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
