"""Near-duplicates are found by what images show, and stay on one side of a drawn split."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from delta_core.training.data.folders import held_out
from delta_core.training.data.near_duplicates import first_look_alikes, groups_of, perceptual_hashes


def scene(number: int, side: int = 96) -> Image.Image:
    """Smooth blobs, as photographs have them: no two numbers look alike."""
    coarse = np.random.default_rng(number).integers(0, 255, (12, 12, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)


def saved(folder: Path, images: list[Image.Image], quality: int = 90) -> list[Path]:
    files = [folder / f"{number:02}.jpg" for number in range(len(images))]
    for image, file in zip(images, files, strict=True):
        image.save(file, quality=quality)
    return files


@pytest.mark.parametrize(
    "change",
    [
        lambda image: image,
        lambda image: image.resize((48, 48)),
        lambda image: ImageEnhance.Brightness(image).enhance(1.2),
        lambda image: image.crop((2, 0, 96, 96)),
        lambda image: image.rotate(1),
    ],
    ids=["saved again", "half as large", "brighter", "shifted", "turned"],
)
def test_a_changed_copy_is_a_near_duplicate_and_another_image_is_none(
    change: Callable[[Image.Image], Image.Image], tmp_path: Path
) -> None:
    scenes = [scene(number) for number in range(12)]
    hashes = perceptual_hashes(saved(tmp_path, [*scenes, *(change(image) for image in scenes)], quality=60))
    groups = groups_of(hashes, torch.zeros(24, dtype=torch.long))
    assert torch.equal(groups[:12], groups[12:])
    assert len(groups.unique()) == 12
    assert first_look_alikes(hashes[12:], hashes[:12]) == {place: place for place in range(12)}


def test_images_of_two_classes_are_never_one_group(tmp_path: Path) -> None:
    hashes = perceptual_hashes(saved(tmp_path, [scene(0), scene(0)]))
    assert groups_of(hashes, torch.tensor([0, 1])).tolist() == [0, 1]


def test_frames_between_two_images_make_them_one_group() -> None:
    hashes = np.ones((3, 256), dtype=np.float32)
    hashes[1, :40] = -1
    hashes[2, :80] = -1  # 80 bits from the first, 40 from the second
    assert groups_of(hashes, torch.zeros(3, dtype=torch.long)).tolist() == [0, 0, 0]
    assert first_look_alikes(hashes[2:], hashes[:1]) == {}


LABELS = st.lists(st.integers(0, 3), min_size=1, max_size=40).map(torch.tensor)


@given(labels=LABELS, seed=st.integers(0, 99), fraction=st.floats(0.05, 0.6))
def test_without_near_duplicates_the_draw_is_what_it_was(labels: torch.Tensor, seed: int, fraction: float) -> None:
    alone = held_out(labels, seed=seed, fraction=fraction)
    grouped = held_out(labels, seed=seed, fraction=fraction, groups=torch.arange(len(labels)))
    assert all(torch.equal(one, other) for one, other in zip(alone, grouped, strict=True))


@given(labels=LABELS, data=st.data(), seed=st.integers(0, 99))
def test_a_group_stays_on_one_side_and_every_class_on_both(
    labels: torch.Tensor, data: st.DataObject, seed: int
) -> None:
    drawn = data.draw(st.lists(st.integers(0, 9), min_size=len(labels), max_size=len(labels)))
    groups = torch.tensor(drawn) * 4 + labels  # a group is of one class
    kept, held = held_out(labels, seed=seed, fraction=0.2, groups=groups)
    assert sorted([*kept.tolist(), *held.tolist()]) == list(range(len(labels)))
    for label in labels.unique():
        members = labels == label
        if len(groups[members].unique()) > 1:
            assert not set(groups[kept][members[kept]].tolist()) & set(groups[held][members[held]].tolist())
        if int(members.sum()) > 1:
            assert members[kept].any()
            assert members[held].any()
