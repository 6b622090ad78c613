"""The catalogue's readers on real images, which are parts of official sets: counts as the data's README states them.

Deselected by default:

    DELTA_DATA_ROOT=FOLDER python -m pytest -m real tests/test_real_sets.py
"""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.data.catalogue import CATALOGUE
from benchmarks.data.catalogue.check import check
from benchmarks.data.catalogue.voc import detection, segmentation
from benchmarks.data.folders import load_image_folder, load_listed_images
from delta_core.weights import Preprocessing

DATA = os.environ.get("DELTA_DATA_ROOT")
SMALL = Preprocessing(image_size=32, crop_pct=1.0, interpolation="bilinear", mean=(0.5,) * 3, std=(0.5,) * 3)

pytestmark = [pytest.mark.real, pytest.mark.skipif(DATA is None, reason="DELTA_DATA_ROOT does not name the data")]

PARTS = {
    "mnist": {"folder": "digits", "counts": {"train": 6500, "test": 1000}},
    "usps": {"folder": "digits/USPS", "counts": {"train": 3646, "test": 1004}, "checksums": {}},
    "voc2007": {"folder": "voc", "counts": {"trainval": 90, "test": 44}},
    "voc2012_seg": {
        "folder": "voc",
        "counts": {"trainval": 51, "test": 25},
        "read": lambda root, split: segmentation(root, split, year="2007"),
        "needs": ("VOCdevkit/VOC2007/SegmentationClass",),
    },
}
"""Entries of the catalogue, said to be as small as the parts are."""


def root() -> Path:
    assert DATA is not None
    return Path(DATA)


@pytest.mark.parametrize("name", PARTS)
def test_parts_of_official_sets_pass_the_check(name: str) -> None:
    part = replace(CATALOGUE[name], **PARTS[name])  # type: ignore[arg-type]
    assert check(part, root()) == []
    assert check(replace(part, counts=dict.fromkeys(part.counts, 7)), root()) != []


def test_voc_annotations_name_eighteen_classes() -> None:
    found = [detection(root() / "voc", split, year="2007") for split in ("trainval", "test")]
    named = {label for part in found for index in range(len(part)) for label in part.classes_in(index)}  # type: ignore[misc]
    assert len(named) == 18


@pytest.mark.parametrize(
    ("name", "classes", "train", "test"),
    [("flowers17", 17, 35, 16), ("dtd10", 10, 40, 20), ("cifar10", 10, 300, 100), ("digits/MNIST-M", 10, 200, 60)],
)
def test_folders_of_images(name: str, classes: int, train: int, test: int) -> None:
    data = load_image_folder("real", root() / name, SMALL, views=0)
    assert data.classes == classes
    assert len(data.train.labels) + len(data.val.labels) == classes * train
    assert len(data.test.labels) == classes * test


@pytest.mark.parametrize(
    ("name", "count"), [("imagenet_sample", 500), ("imagenet_nips2017", 456), ("imagenet_val10", 250)]
)
def test_listed_images_of_imagenet(name: str, count: int) -> None:
    data = load_listed_images(name, root() / name, SMALL, classes=1000)
    assert len(data.val.labels) + len(data.test.labels) == count
