"""Fresh views that are stronger than PAINT's light crop: what nets that start from random weights are trained on."""

from dataclasses import replace
from typing import Literal, assert_never

from torchvision.transforms import v2

from delta_core.training.data.splits import LazySplit, Split
from delta_core.weights import Preprocessing

Augmentation = Literal["resized_crop_flip", "pad_crop_flip"]
"""`resized_crop_flip`: a crop of 8 to 100 % of the area at the input size (pytorch/examples, imagenet/main.py).
`pad_crop_flip`: an eighth of the size as black border, 4 px at 32, and a crop of the size (kuangliu/pytorch-cifar,
main.py). Both are flipped at random."""


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
    match augmentation:
        case "resized_crop_flip":
            view = preprocessing.random_view(scale=(0.08, 1.0))
        case "pad_crop_flip":
            size = preprocessing.image_size
            view = v2.Compose([preprocessing.resize_and_crop(), v2.RandomCrop(size, padding=size // 8)])
        case _:
            assert_never(augmentation)
    return v2.Compose([view, v2.RandomHorizontalFlip()])
