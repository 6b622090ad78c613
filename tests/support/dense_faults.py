"""Small folders of boxes and masks in the layouts that are read, and what may be wrong with them."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

Fault = tuple[Callable[[Path], object], str]
"""What damages a folder, and a pattern of the sentence that names it."""


def write_segnet(root: Path) -> Path:
    """Two images in each of train and test, as JPEG and as PNG, with masks."""
    for split in ("train", "test"):
        (root / split).mkdir()
        (root / f"{split}annot").mkdir()
        for name, ending in (("a", "jpg"), ("b", "png")):
            Image.new("RGB", (40, 30)).save(root / split / f"{name}.{ending}")
            Image.new("L", (40, 30)).save(root / f"{split}annot" / f"{name}.png")
    (root / "classes.txt").write_text("0 Sky\n1 Car\n2 Unlabelled (ignore)\n")
    return root


def write_coco(root: Path) -> Path:
    """Three images to train on and two to test on, each with one cat or dog."""
    for split, count in (("train2017", 3), ("val2017", 2)):
        (root / split).mkdir()
        entries = [{"id": n, "file_name": f"{n}.png", "width": 40, "height": 30} for n in range(count)]
        for entry in entries:
            Image.new("RGB", (40, 30)).save(root / split / str(entry["file_name"]))
        objects = [
            {"id": n, "image_id": n, "category_id": 3 + 4 * (n % 2), "bbox": [2, 3, 10, 8], "area": 80, "iscrowd": 0,
             "segmentation": [[2, 3, 12, 3, 12, 11, 2, 11]]}
            for n in range(count)
        ]  # fmt: skip
        kinds = [{"id": 7, "name": "dog"}, {"id": 3, "name": "cat"}, {"id": 5, "name": "unused"}]
        (root / "annotations").mkdir(exist_ok=True)
        (root / f"annotations/instances_{split}.json").write_text(
            json.dumps({"images": entries, "annotations": objects, "categories": kinds})
        )
    return root


def replaced(folder: Path, old: str, new: str, limit: int | None = None) -> None:
    """Replace a text in the XML files of a folder, or in the first of them."""
    for path in sorted(folder.rglob("*.xml"))[:limit]:
        path.write_text(path.read_text().replace(old, new))


def edit(path: Path, text: str) -> None:
    """Write a file anew."""
    path.write_text(text)


def changed(path: Path, **changes: Any) -> None:
    """Replace parts of a JSON file."""
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


VOC_FAULTS: dict[str, Fault] = {
    "no list": (lambda root: (root / "VOC2007/ImageSets/Main/test.txt").unlink(), "ImageSets/Main/test.txt is missing"),
    "no boxes": (lambda root: shutil.rmtree(root / "VOC2007/Annotations"), "VOC2007/Annotations is missing"),
    "an empty list": (lambda root: edit(root / "VOC2007/ImageSets/Main/test.txt", "\n"), "test.txt' lists no image"),
    "a list with columns": (
        lambda root: edit(root / "VOC2007/ImageSets/Main/trainval.txt", "train_0000 1\n"),
        "has the line 'train_0000 1'; expected one name a line",
    ),
    "an image that is not there": (
        lambda root: (root / "VOC2007/JPEGImages/test_0000.jpg").unlink(), "has no image 'test_0000'"
    ),
    "an annotation that is not there": (
        lambda root: (root / "VOC2007/Annotations/train_0001.xml").unlink(), r"lists 'train_0001', which has no Annot"
    ),
    "a damaged annotation": (
        lambda root: edit(root / "VOC2007/Annotations/train_0001.xml", "<annotation><obj"),
        r"train_0001\.xml' cannot be read \(ParseError\)",
    ),
    "a damaged image": (
        lambda root: edit(root / "VOC2007/JPEGImages/test_0000.jpg", "junk"), r"test_0000\.jpg' cannot be read"
    ),
    "an object without name": (
        lambda root: replaced(root, "<name>", "<noname>") or replaced(root, "</name>", "</noname>"),
        "has an object without name",
    ),
    "a class of test images alone": (
        lambda root: edit(
            root / "VOC2007/Annotations/test_0000.xml",
            "<annotation><object><name>moon</name></object></annotation>",
        ),
        "has the class 'moon' in its test images alone",
    ),
    "no object at all": (
        lambda root: [edit(path, "<annotation/>") for path in root.rglob("*.xml")], "has no object in the images to"
    ),
}  # fmt: skip

SEGNET_FAULTS: dict[str, Fault] = {
    "a missing folder": (lambda root: shutil.rmtree(root / "testannot"), "testannot is missing"),
    "no names": (lambda root: (root / "classes.txt").unlink(), r"classes\.txt is missing"),
    "an empty list of names": (lambda root: edit(root / "classes.txt", ""), "names no class"),
    "numbers with a gap": (lambda root: edit(root / "classes.txt", "0 a\n2 b"), r"numbers its classes \[0, 2\]"),
    "an image without mask": (lambda root: (root / "trainannot/b.png").unlink(), "'b' in train without mask, a PNG"),
    "a mask without image": (lambda root: (root / "train/b.png").unlink(), "'b' in train without image, a JPEG or PNG"),
}

TRAIN = "annotations/instances_train2017.json"
COCO_FAULTS: dict[str, Fault] = {
    "no JSON": (lambda root: edit(root / TRAIN, "{"), r"is not a file of COCO's \(JSONDecodeError"),
    "another JSON": (lambda root: edit(root / TRAIN, "[]"), r"is not a file of COCO's \(TypeError"),
    "no images": (lambda root: changed(root / TRAIN, images=[]), "has 0 images"),
    "no objects": (lambda root: changed(root / TRAIN, annotations=[]), "0 classes with objects"),
    "a missing image": (lambda root: (root / "train2017/1.png").unlink(), r"names '1\.png', which is not in"),
    "an object of an unknown class": (
        lambda root: changed(root / TRAIN, categories=[]), r"is not a file of COCO's \(KeyError"
    ),
    "nothing to test on": (lambda root: shutil.rmtree(root / "val2017"), "has no annotations/instances_test"),
    "a class of test images alone": (
        lambda root: changed(root / TRAIN, annotations=[{"category_id": 3}]), "has the class 'dog' in its test images"
    ),
}  # fmt: skip
