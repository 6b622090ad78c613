"""The Visual Decathlon: nine data sets of Table 1 in one archive, images at 72 pixels, splits of its own.

    decathlon/decathlon-1.0/annotations/<set>_train.json, <set>_val.json, <set>_test_stripped.json
    decathlon/decathlon-1.0/data/<set>/train/..., val/..., test/...

Test labels were hidden for the challenge, so the paper's Table 1 can only be the official validation split (UCF101 75 %
fits validation, not test); images to choose by are held out of `train`. Split sizes: TFDS visual_domain_decathlon.
"""

import json
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.data.catalogue.entry import DataSet, Download, Examples
from benchmarks.data.catalogue.readers import in_files

SHARE = "http://www.robots.ox.ac.uk/~vgg/share/"

DOWNLOADS = (
    Download(
        path="decathlon-1.0-devkit.tar.gz",
        urls=(f"{SHARE}decathlon-1.0-devkit.tar.gz",),
        digest="sha256:f86d9e128678434ff2a3a374f00eb3e2ec2267e15e53ddae5f19ff19378b5ff7",
        unpack_to=".",
    ),
    Download(
        path="decathlon-1.0-data.tar.gz",
        urls=(f"{SHARE}decathlon-1.0-data.tar.gz",),
        digest="sha256:8eca928bda025d855c91a78db45b3b18bc322efd7b1462a041e62c27b3c83c25",
        unpack_to="decathlon-1.0/data",
        at_most_mb=500,
    ),
)

RECIPE = (
    "If both links are dead, ask the authors (robots.ox.ac.uk/~vgg/decathlon) or take the archives "
    "decathlon-1.0-devkit.tar.gz and decathlon-1.0-data.tar.gz from a colleague, put them into {folder} and fetch "
    "again; their SHA-256 are compared. UCF101's dynamic images and Daimler's 72-pixel images exist in this archive "
    "alone: the raw videos do not reproduce them."
)


def read(root: Path, split: str, *, part: str) -> Examples:
    """One data set of the decathlon from its COCO-like annotations; class indices follow the list of categories.

    Raises:
        ValueError: if an annotation names an image or a category that is not listed.
    """
    top = root / "decathlon-1.0"
    said: dict[str, Any] = json.loads((top / "annotations" / f"{part}_{split}.json").read_text(encoding="utf-8"))
    index = {category["id"]: number for number, category in enumerate(said["categories"])}
    files = {image["id"]: image["file_name"] for image in said["images"]}
    if len(said["annotations"]) != len(files):
        raise ValueError(f"{part}_{split}.json lists {len(files)} images and {len(said['annotations'])} labels")
    try:
        found = [(files[each["image_id"]], index[each["category_id"]]) for each in said["annotations"]]
    except KeyError as error:
        raise ValueError(f"{part}_{split}.json labels the image or category {error}, which it does not list") from None
    class_names = [str(category["name"]) for category in said["categories"]]
    return in_files(root, [top / file for file, _ in found], [label for _, label in found], class_names)


AS_THEY_ARE = ("gtsrb", "omniglot", "svhn")
"""What srebuffi/residual_adapters neither crops nor flips."""


def _entry(name: str, part: str, title: str, classes: int, train: int, val: int, licence: str) -> DataSet:
    return DataSet(
        name=f"decathlon_{name}",
        title=f"{title}, Visual Decathlon",
        folder="decathlon",
        classes=classes,
        counts={"train": train, "val": val},
        read=partial(read, part=part),
        needs=(f"decathlon-1.0/annotations/{part}_train.json", f"decathlon-1.0/data/{part}"),
        licence=licence,
        test="val",
        augmentation="none" if name in AS_THEY_ARE else "crop_flip",
        downloads=DOWNLOADS,
        recipe=RECIPE,
    )


DATA_SETS = (
    _entry("flowers", "vgg-flowers", "VGG-Flowers", 102, 1020, 1020, "none stated; research"),
    _entry("aircraft", "aircraft", "FGVC-Aircraft", 100, 3334, 3333, "non-commercial research"),
    _entry("ucf101", "ucf101", "UCF101 dynamic images", 101, 7585, 1952, "none stated; research"),
    _entry("gtsrb", "gtsrb", "German Traffic Signs", 43, 31367, 7842, "none stated; research"),
    _entry("dtd", "dtd", "Describable Textures", 47, 1880, 1880, "research"),
    _entry("svhn", "svhn", "Street View House Numbers", 10, 47217, 26040, "non-commercial"),
    _entry("cifar100", "cifar100", "CIFAR-100", 100, 40000, 10000, "none stated; research"),
    _entry("omniglot", "omniglot", "Omniglot", 1623, 17853, 6492, "MIT"),
    _entry("daimler_ped", "daimlerpedcls", "Daimler Pedestrian Classification", 2, 23520, 5880, "research"),
)
