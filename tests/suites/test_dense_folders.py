"""Folders of boxes and masks as users have them: what is read, and the sentence for what cannot be."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from dense_faults import COCO_FAULTS, SEGNET_FAULTS, VOC_FAULTS, replaced, write_coco, write_segnet
from dense_world import tiny_cache
from PIL import Image

from benchmarks.data.catalogue.voc import CLASSES as VOC_CLASSES
from benchmarks.suites.dense.folders.drawn import drawn_data
from benchmarks.suites.dense.folders.read import read_folder
from benchmarks.suites.dense.scenes import CLASS_NAMES, scenes_folder
from delta_core.training.errors import UserError


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return scenes_folder(tiny_cache(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def voc(drawn: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(drawn, tmp_path / "VOCdevkit"))


@pytest.fixture
def segnet(tmp_path: Path) -> Path:
    return write_segnet(tmp_path)


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    return write_coco(tmp_path)


# --- VOC ---------------------------------------------------------------------------------------------------------


def test_names_of_boxes_are_read(voc: Path) -> None:
    data = read_folder(voc.parent, "detection")
    assert data.root == voc, "a folder that holds VOCdevkit does too"
    assert data.classes == tuple(sorted(data.classes))
    assert set(data.classes) <= set(CLASS_NAMES)
    assert (data.format, data.is_voc, data.train_images) == ("voc", False, 8)


def test_some_of_vocs_classes_do_not_make_it_voc(voc: Path) -> None:
    """mmdet's rule for VOC drops boxes below 32 pixels: in a folder of small objects nearly half of them."""
    for ours, theirs in zip(CLASS_NAMES, VOC_CLASSES[3:], strict=False):
        replaced(voc, f">{ours}<", f">{theirs}<")
    found = read_folder(voc, "detection")
    assert set(found.classes) < set(VOC_CLASSES)
    assert not found.is_voc
    assert read_folder(voc, "detection", classes=VOC_CLASSES).is_voc, "who says so gets VOC's rules"


def test_images_may_be_png(voc: Path) -> None:
    for path in (voc / "VOC2007/JPEGImages").iterdir():
        Image.open(path).save(path.with_suffix(".PNG"))
        path.unlink()
    assert read_folder(voc, "detection").image_size == (128, 128)


def test_drawn_scenes_are_known_before_they_are_drawn(drawn: Path, tmp_path: Path) -> None:
    for kind in ("detection", "segmentation"):
        facts = drawn_data(tmp_path, kind)
        assert list(tmp_path.iterdir()) == [], "nothing was drawn"
        there = drawn_data(drawn.parents[2], kind)
        assert (there.root, there.train, facts.classes) == (drawn, facts.train, CLASS_NAMES)
        assert all((drawn / part).exists() for part in (facts.test.names, facts.test.images, facts.test.annotations))


def test_an_image_without_objects_is_no_fault(voc: Path) -> None:
    (voc / "VOC2007/Annotations/train_0000.xml").write_text("<annotation></annotation>")
    assert read_folder(voc, "detection").train_images == 8


# --- SegNet ------------------------------------------------------------------------------------------------------


def test_segnets_layout_names_its_classes_and_what_is_not_scored(segnet: Path) -> None:
    data = read_folder(segnet, "segmentation")
    assert (data.classes, data.ignore_index, data.image_size) == (("Sky", "Car"), 2, (40, 30))
    assert (data.scored_classes, data.train_images, data.format) == (("Sky", "Car"), 2, "segnet")


@pytest.mark.parametrize(
    "text", ["Sky\nCar\nUnlabelled\n", "2 Unlabelled\n0 Sky\n1 Car", "Sky\r\nCar\r\n\r\nUnlabelled"]
)
def test_names_of_classes_need_no_numbers(segnet: Path, text: str) -> None:
    (segnet / "classes.txt").write_text(text)
    data = read_folder(segnet, "segmentation")
    assert (data.classes, data.ignore_index) == (("Sky", "Car"), 2)


def test_a_class_of_two_words_keeps_both(segnet: Path) -> None:
    (segnet / "classes.txt").write_text("Traffic light\nCar\n")
    assert read_folder(segnet, "segmentation").classes == ("Traffic light", "Car")


# --- COCO --------------------------------------------------------------------------------------------------------


def test_cocos_classes_are_those_with_objects_in_the_order_of_their_ids(coco: Path) -> None:
    boxes, masks = (read_folder(coco, kind) for kind in ("detection", "segmentation"))
    assert boxes.classes == masks.classes == ("cat", "dog")
    assert (boxes.format, boxes.train_images, boxes.image_size) == ("coco", 3, (40, 30))
    assert (boxes.train[0].images, boxes.test.images) == ("train2017", "val2017")
    assert masks.scored_classes == ("background", "cat", "dog")


def test_a_json_file_may_lie_beside_its_images(coco: Path) -> None:
    for folder, name in (("train2017", "train"), ("val2017", "valid")):
        (coco / folder).rename(coco / name)
        (coco / f"annotations/instances_{folder}.json").rename(coco / name / "_annotations.coco.json")
    assert read_folder(coco, "detection").test.annotations == "valid/_annotations.coco.json"


# --- what cannot be read -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", VOC_FAULTS)
def test_what_is_wrong_with_boxes_is_named(fault: str, voc: Path) -> None:
    damage, message = VOC_FAULTS[fault]
    damage(voc)
    with pytest.raises(UserError, match=message) as caught:
        read_folder(voc, "detection")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("fault", SEGNET_FAULTS)
def test_what_is_wrong_with_masks_is_named(fault: str, segnet: Path) -> None:
    damage, message = SEGNET_FAULTS[fault]
    damage(segnet)
    with pytest.raises(UserError, match=message) as caught:
        read_folder(segnet, "segmentation", layout="segnet")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("fault", COCO_FAULTS)
def test_what_is_wrong_with_a_json_file_is_named(fault: str, coco: Path) -> None:
    damage, message = COCO_FAULTS[fault]
    damage(coco)
    with pytest.raises(UserError, match=message) as caught:
        read_folder(coco, "detection")
    assert "\n" not in str(caught.value)


def test_a_folder_of_no_layout_is_refused(tmp_path: Path, segnet: Path) -> None:
    for place, kind, message in (
        (tmp_path / "nowhere", "detection", "is not a folder"),
        (segnet, "detection", r"has none of the layouts voc, segnet, coco; expected VOC2007/"),
    ):
        with pytest.raises(UserError, match=message):
            read_folder(place, kind)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="in SegNet's layout, which has masks and no boxes"):
        read_folder(segnet, "detection", layout="segnet")


def test_scenes_have_masks_of_their_classes(drawn: Path) -> None:
    data = read_folder(drawn, "segmentation", classes=CLASS_NAMES)
    assert data.scored_classes == ("background", *CLASS_NAMES)
    mask = np.asarray(Image.open(next((drawn / data.test.annotations).iterdir())))
    assert mask.max() < len(data.scored_classes)
