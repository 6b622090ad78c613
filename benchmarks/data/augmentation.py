"""Fresh views other than PAINT's light crop: of nets that start from random weights, and of the Visual Decathlon."""

from dataclasses import replace
from typing import Literal, assert_never

import torch
from torchvision.transforms import InterpolationMode, v2

from delta_core.training.data.splits import LazySplit, Split
from delta_core.weights import Preprocessing

Augmentation = Literal["resized_crop_flip", "pad_crop_flip", "crop_flip", "none"]
"""`resized_crop_flip`: a crop of 8 to 100 % of the area at the input size (pytorch/examples, imagenet/main.py).
`pad_crop_flip`: an eighth of the size as black border, 4 px at 32, and a crop of the size (kuangliu/pytorch-cifar,
main.py). `crop_flip`: the short side at nine eighths of the size, 72 px at 64, and a crop of the size
(srebuffi/residual_adapters, imdbfolder_coco.py). These three are flipped at random. `none`: the image as it is
measured, which the same file has where a flip would make another class (signs, digits and characters)."""


def augmented(split: Split, augmentation: Augmentation) -> LazySplit:
    """The images of a split that come in fresh views, in those of an augmentation.

    Raises:
        TypeError: for a split whose views are fixed; that is a mistake of the caller.
    """
    if not isinstance(split, LazySplit) or split.view is not None:
        raise TypeError(f"{augmentation} draws fresh views, and this {type(split).__name__} has fixed ones.")
    return replace(split, transform=transform_of(augmentation, split.preprocessing))


def transform_of(augmentation: Augmentation, preprocessing: Preprocessing) -> v2.Transform:
    """A fresh training view, image -> (3, S, S) uint8."""
    size = preprocessing.image_size
    match augmentation:
        case "resized_crop_flip":
            view = preprocessing.random_view(scale=(0.08, 1.0))
        case "pad_crop_flip":
            view = v2.Compose([preprocessing.resize_and_crop(), v2.RandomCrop(size, padding=size // 8)])
        case "crop_flip":
            short_side = v2.Resize(round(9 / 8 * size), InterpolationMode(preprocessing.interpolation))
            view = v2.Compose([v2.ToImage(), short_side, v2.RandomCrop(size), v2.ToDtype(torch.uint8, scale=True)])
        case "none":
            return preprocessing.resize_and_crop()
        case _:
            assert_never(augmentation)
    return v2.Compose([view, v2.RandomHorizontalFlip()])
