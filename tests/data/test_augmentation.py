"""Augmentations: what a view shows, that views differ, and that fixed views are refused."""

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
import torch
from tiny import PREPROCESSING, tensor_split

from benchmarks.data.augmentation import Augmentation, augmented, transform_of
from benchmarks.data.images import ArrayImages
from delta_core.training.data.splits import LazySplit

AUGMENTATIONS: tuple[Augmentation, ...] = get_args(Augmentation)
AT_32 = replace(PREPROCESSING, image_size=32)
RAMP = np.stack(np.broadcast_arrays(*np.mgrid[1:33, 1:33].astype(np.uint8), np.uint8(200)), axis=2)
"""(32, 32, 3): row and column of a pixel, from 1, and a constant."""


def views_of(augmentation: Augmentation, count: int) -> torch.Tensor:
    """(count, 3, 32, 32) uint8."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        transform = transform_of(augmentation, AT_32)
        return torch.stack([transform(RAMP) for _ in range(count)])


@pytest.mark.parametrize("augmentation", [each for each in AUGMENTATIONS if each != "none"])
def test_views_have_the_size_and_differ_and_half_of_them_are_flipped(augmentation: Augmentation) -> None:
    views = views_of(augmentation, 200)
    assert (views.shape[1:], views.dtype) == ((3, 32, 32), torch.uint8)
    assert len({view.numpy().tobytes() for view in views}) > 40, "the fewest, 25 places and a flip, has crop_flip"
    columns = views[:, 1, 16].float()
    flipped = (columns[:, 10] > columns[:, 20]).float().mean()
    assert 0.35 < flipped < 0.65


def test_padded_crops_move_by_an_eighth_of_the_size_at_most_and_keep_the_scale() -> None:
    views = views_of("pad_crop_flip", 300)
    border = (views[:, 2] == 0).float().mean(dim=(1, 2))
    assert border.max() <= 1 - (28 / 32) ** 2
    assert border.max() > 0.2
    rows = views[:, 0].float().amax(dim=2)  # of each line of a view, the row of the image that it shows, or 0
    steps = rows[:, 1:] - rows[:, :-1]
    inside = (rows[:, 1:] > 0) & (rows[:, :-1] > 0)
    assert (steps[inside] == 1).all(), "nothing is resized"


def test_resized_crops_show_a_tenth_of_the_area_or_nearly_all_of_it() -> None:
    views = views_of("resized_crop_flip", 300).float()
    area = (views[:, 0].amax((1, 2)) - views[:, 0].amin((1, 2))) * (views[:, 1].amax((1, 2)) - views[:, 1].amin((1, 2)))
    assert area.min() < 0.2 * 31**2
    assert area.max() > 0.8 * 31**2
    assert (views[:, 2] == 200).all(), "there is no border"


def test_crops_of_the_decathlon_show_eight_ninths_of_each_side_and_no_border() -> None:
    views = views_of("crop_flip", 300).float()
    for channel in (0, 1):  # rows and columns, 1 to 32 in the whole image
        shown = views[:, channel].amax((1, 2)) - views[:, channel].amin((1, 2))
        assert ((shown - 8 / 9 * 32).abs() < 2.5).all()
    assert views[:, 0].amin((1, 2)).unique().numel() > 3, "crops move"
    assert (views[:, 2] == 200).all()


def test_without_augmentation_a_view_is_the_image_as_it_is_measured() -> None:
    assert (views_of("none", 3) == AT_32.resize_and_crop()(RAMP)).all()


def test_fixed_views_are_refused() -> None:
    fixed = tensor_split(4, 2, seed=0)
    with pytest.raises(TypeError, match="pad_crop_flip draws fresh views, and this TensorSplit has fixed ones"):
        augmented(fixed, "pad_crop_flip")
    lazy = LazySplit(
        images=ArrayImages(RAMP[None]), labels=torch.zeros(1), transform=AT_32.random_view(), preprocessing=AT_32
    )
    assert augmented(lazy, "pad_crop_flip").preprocessing == AT_32
    with pytest.raises(TypeError, match="LazySplit has fixed ones"):
        augmented(replace(lazy, view=("a", 0)), "pad_crop_flip")
