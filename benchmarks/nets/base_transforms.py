"""How images of the base task may be prepared at scale paper: the paper does not say, and accuracy depends on it."""

from dataclasses import replace
from typing import Literal, get_args

from delta_core.weights import Preprocessing

BaseTransform = Literal["whole-bicubic", "whole-bilinear", "own-bicubic", "own-bilinear"]
"""`whole`: the short side becomes the input size, nothing but the long side is cut (crop 1.0). `own`: the crop that the
weights name, 0.875 to 1. Then the resizing kernel."""
BASE_TRANSFORMS: tuple[BaseTransform, ...] = get_args(BaseTransform)

PAPER_TRANSFORM: BaseTransform = "whole-bicubic"
"""PAINT's, which Table 10's base accuracies fit, whatever the weights like."""


def prepared(own: Preprocessing, transform: BaseTransform) -> Preprocessing:
    """Preprocessing of the weights, with the crop and kernel of a transform.

    >>> own = Preprocessing(image_size=224, crop_pct=0.95, interpolation="bicubic", mean=(0.5,) * 3, std=(0.5,) * 3)
    >>> str(prepared(own, "whole-bilinear")).partition(" mean")[0], prepared(own, "own-bicubic") == own
    ('224px crop=1 bilinear', True)
    """
    crop, _, interpolation = transform.partition("-")
    return replace(own, crop_pct=1.0 if crop == "whole" else own.crop_pct, interpolation=interpolation)


def own_transform(own: Preprocessing) -> BaseTransform:
    """Name of what the weights themselves were measured in, by their kernel."""
    return "own-bilinear" if own.interpolation == "bilinear" else "own-bicubic"
