"""The catalogue's readers on real images, which are parts of official sets: counts as the data's README states them.

Deselected by default:

    DELTA_DATA_ROOT=FOLDER python -m pytest -m real tests/data/test_real_sets.py
"""

import os
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch

from benchmarks.data.catalogue import CATALOGUE
from benchmarks.data.catalogue.check import check
from benchmarks.data.catalogue.voc import detection, segmentation
from benchmarks.data.digits import load_digits
from benchmarks.data.listed_images import load_listed_images
from benchmarks.suites.dense.folders.described import Kind
from benchmarks.suites.dense.folders.read import read_folder
from delta_core.training.data.folders import load_image_folder
from delta_core.training.errors import UserError
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


def test_voc_has_eighteen_classes_and_572_boxes() -> None:
    found = [detection(root() / "voc", split, year="2007") for split in ("trainval", "test")]
    named = {label for part in found for index in range(len(part)) for label in part.classes_in(index)}  # type: ignore[misc]
    assert len(named) == 18
    files = [root() / "voc" / name for part in found for name in part.annotations]
    assert sum(len(ElementTree.parse(file).findall("object")) for file in files) == 572


@pytest.mark.parametrize(
    ("kind", "name", "classes", "train"),
    [("detection", "voc", 18, 90), ("segmentation", "voc", 20, 51), ("detection", "bccd", 3, 292),
     ("segmentation", "camvid", 11, 184)],
)  # fmt: skip
def test_boxes_and_masks_as_table_7_reads_them(kind: Kind, name: str, classes: int, train: int) -> None:
    data = read_folder(root() / name, kind)
    assert (len(data.classes), data.train_images) == (classes, train)
    assert not data.is_voc or kind == "segmentation", "a part of VOC's classes does not make it VOC"


def test_void_of_camvid_is_its_last_class() -> None:
    assert read_folder(root() / "camvid", "segmentation").ignore_index == 11


@pytest.mark.parametrize(("name", "train", "test"), [("mnist", 6500, 1000), ("usps", 3646, 1004)])
def test_digits_as_table_6_reads_them(name: str, train: int, test: int) -> None:
    data = load_digits(name, root() / "digits", SMALL, full=False)
    assert (len(data.train.labels) + len(data.val.labels), len(data.test.labels)) == (train, test)
    assert data.train.labels.unique().tolist() == list(range(10))
    with pytest.raises(UserError, match=f"fetch {name} --check"):  # not where `fetch` leaves the full set
        load_digits(name, root() / "digits", SMALL, full=True)


@pytest.mark.parametrize(
    ("name", "classes", "train", "test"),
    [("flowers17", 17, 35, 16), ("dtd10", 10, 40, 20), ("cifar10", 10, 300, 100), ("digits/MNIST-M", 10, 200, 60)],
)
def test_folders_of_images(name: str, classes: int, train: int, test: int) -> None:
    data = load_image_folder("real", root() / name, SMALL, views=0)
    assert data.classes == classes
    assert torch.cat([data.train.labels, data.val.labels]).bincount().tolist() == [train] * classes
    assert data.test.labels.bincount().tolist() == [test] * classes


def test_a_folder_whose_test_images_lie_in_val() -> None:
    data = load_image_folder("hymenoptera", root() / "hymenoptera", SMALL, views=0)
    assert (data.classes, len(data.train.labels) + len(data.val.labels), len(data.test.labels)) == (2, 244, 153)


@pytest.mark.parametrize(
    ("name", "count", "classes"),
    [("imagenet_sample", 500, 500), ("imagenet_nips2017", 456, 282), ("imagenet_val10", 250, 10)],
)
def test_listed_images_of_imagenet(name: str, count: int, classes: int) -> None:
    data = load_listed_images(name, root() / name, SMALL, classes=1000)
    labels = torch.cat([data.val.labels, data.test.labels])
    assert (len(labels), len(labels.unique())) == (count, classes)
