"""Slim variants of the paper's architectures, built by timm with narrower channels, for 32-pixel images."""

from typing import Any

import timm
from torch import nn

from delta_core.nearest import unknown
from delta_core.training.errors import UserError
from delta_core.weights import Preprocessing

PREPROCESSING = Preprocessing(
    image_size=32, crop_pct=1.0, interpolation="bicubic", mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25)
)

SLIM: dict[str, dict[str, Any]] = {
    # timm fixes the stem at 64 channels unless it is deep, where it is twice the stem width.
    "resnet18": {"stem_type": "deep", "stem_width": 8, "channels": (16, 32, 64, 128)},
    "resnet34": {"stem_type": "deep", "stem_width": 8, "channels": (8, 16, 32, 64)},
    "resnet50": {"stem_type": "deep", "stem_width": 8, "channels": (8, 16, 32, 64)},
    # A group must be at least one channel wide.
    "resnext50_32x4d": {
        "stem_type": "deep",
        "stem_width": 8,
        "channels": (8, 16, 32, 64),
        "cardinality": 4,
        "base_width": 32,
    },
    "wide_resnet50_2": {"stem_type": "deep", "stem_width": 8, "channels": (8, 16, 32, 64)},
    # A layer scale of 1e-6 would need far more steps than a slim net gets.
    "convnext_tiny": {"dims": (16, 32, 64, 128), "patch_size": 2, "ls_init_value": 1.0},
}


def slim_backbone(architecture: str, *, num_classes: int) -> nn.Module:
    """The slim net of that name, with a new head.

    Raises:
        UserError: if there is no slim variant of that name.
    """
    if architecture not in SLIM:
        raise UserError(unknown("Embedded architecture", architecture, SLIM, "python -m benchmarks list nets"))
    net = timm.create_model(architecture, num_classes=num_classes, **SLIM[architecture])
    if architecture.startswith("convnext"):
        _widen_init(net)
    return net


def _widen_init(net: nn.Module) -> None:
    """Draw weights with variance 1 / fan-in: timm's constant 0.02 is for wide nets, a slim one stays at chance."""
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.trunc_normal_(module.weight, std=module.weight[0].numel() ** -0.5)
