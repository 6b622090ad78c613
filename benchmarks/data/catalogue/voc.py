"""PASCAL VOC and SBD: detection on 2007, segmentation on 2012 with SBD's masks added (Table 7).

SBD's own `train` overlaps VOC 2012's validation images; `train_noval` leaves them out.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from PIL import Image
from torchvision import datasets

from benchmarks.data.catalogue.entry import NO_LABELS, DataSet, Download, Examples
from benchmarks.data.catalogue.readers import ImageFiles

CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog",
    "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
WITH_GROUND = ("background", *CLASSES)
SBD_FOLDER = "benchmark_RELEASE/dataset"
IGNORED = 255
"""Mask value of borders and unlabelled regions."""


def detection(root: Path, split: str, *, year: str) -> Examples:
    """Images with boxes, from the lists in ImageSets/Main."""
    found = datasets.VOCDetection(root, year=year, image_set=split)
    return _annotated(root, found.images, found.targets, CLASSES, _boxed)


def segmentation(root: Path, split: str, *, year: str) -> Examples:
    """Images with masks, from the lists in ImageSets/Segmentation."""
    found = datasets.VOCSegmentation(root, year=year, image_set=split)
    return _annotated(root, found.images, found.masks, WITH_GROUND, lambda path: _masked(np.asarray(Image.open(path))))


def sbd(root: Path, split: str) -> Examples:
    """Images with SBD's masks."""
    from scipy.io import loadmat  # takes half a second to import, and this data set alone needs it

    found = datasets.SBDataset(root / SBD_FOLDER, image_set=split, mode="segmentation")

    def classes(path: Path) -> set[int]:
        return _masked(loadmat(path)["GTcls"][0]["Segmentation"][0])

    return _annotated(root, found.images, found.masks, WITH_GROUND, classes)


def _annotated(
    root: Path,
    images: list[str],
    annotations: list[str],
    class_names: tuple[str, ...],
    classes: Callable[[Path], set[int]],
) -> Examples:
    """Images and their annotations; `classes` reads those of one annotation."""
    names, said = ([Path(path).relative_to(root).as_posix() for path in paths] for paths in (images, annotations))
    return Examples(
        images=ImageFiles(root, names),
        labels=NO_LABELS,
        names=names,
        annotations=said,
        class_names=class_names,
        classes_in=lambda index: classes(root / said[index]),
    )


def _boxed(path: Path) -> set[int]:
    """Class indices of the boxes in an annotation.

    Raises:
        ValueError: for a class that is none of VOC's.
    """
    names = {str(each.findtext("name")) for each in ElementTree.parse(path).iter("object")}
    unknown = sorted(names - set(CLASSES))
    if unknown:
        raise ValueError(f"{path.name} names the class {unknown[0]!r}")
    return {CLASSES.index(name) for name in names}


def _masked(mask: np.ndarray) -> set[int]:
    return set(np.unique(mask).tolist()) - {IGNORED}


PASCAL = "https://thor.robots.ox.ac.uk/pascal/VOC/"
TRAINVAL_2007 = Download(
    path="VOCtrainval_06-Nov-2007.tar",
    urls=(f"{PASCAL}voc2007/VOCtrainval_06-Nov-2007.tar",),
    digest="md5:c52e279531787c972589f7e41ab4ae64",
    unpack_to=".",
    at_most_mb=500,
)
TEST_2007 = Download(
    path="VOCtest_06-Nov-2007.tar",
    urls=(f"{PASCAL}voc2007/VOCtest_06-Nov-2007.tar",),
    digest="md5:b6e924de25625d8de591ea690078ad9f",
    unpack_to=".",
    at_most_mb=500,
)
TRAINVAL_2012 = Download(
    path="VOCtrainval_11-May-2012.tar",
    urls=(
        f"{PASCAL}voc2012/VOCtrainval_11-May-2012.tar",
        "http://d2l-data.s3-accelerate.amazonaws.com/VOCtrainval_11-May-2012.tar",  # pytorch/vision PR 9335
    ),
    digest="md5:6cd6e144f989b92b3379bac3b3de84fd",
    unpack_to=".",
    at_most_mb=2100,
)
RECIPE = (
    "Oxford's server is often down (pytorch/vision issue 4243). The same folders are in the zips "
    "VOCtrainval_06-Nov-2007, VOCtest_06-Nov-2007 and VOCtrainval_11-May-2012 of the release v0.0.0 of "
    "github.com/ultralytics/assets: unpack them so that {folder}/VOCdevkit/VOC2007 and VOC2012 hold JPEGImages, "
    "Annotations and ImageSets, then check."
)
LICENCE = "Flickr terms of use; research"

DATA_SETS = (
    DataSet(
        name="voc2007",
        title="PASCAL VOC 2007, detection",
        folder="voc",
        classes=20,
        counts={"trainval": 5011, "test": 4952},
        read=partial(detection, year="2007"),
        needs=("VOCdevkit/VOC2007/ImageSets/Main/trainval.txt", "VOCdevkit/VOC2007/ImageSets/Main/test.txt"),
        licence=LICENCE,
        metric="map50_11point",
        train="trainval",
        held_by="nothing",
        downloads=(TRAINVAL_2007, TEST_2007),
        recipe=RECIPE,
    ),
    DataSet(
        name="voc2012",
        title="PASCAL VOC 2012, detection",
        folder="voc",
        classes=20,
        counts={"train": 5717, "val": 5823},
        read=partial(detection, year="2012"),
        needs=("VOCdevkit/VOC2012/ImageSets/Main/trainval.txt",),
        licence=LICENCE,
        metric="map50_11point",
        held_by="nothing",
        test="val",
        downloads=(TRAINVAL_2012,),
        recipe=RECIPE,
    ),
    DataSet(
        name="voc2012_seg",
        title="PASCAL VOC 2012, segmentation",
        folder="voc",
        classes=21,
        counts={"train": 1464, "val": 1449},
        read=partial(segmentation, year="2012"),
        needs=("VOCdevkit/VOC2012/ImageSets/Segmentation/train.txt", "VOCdevkit/VOC2012/SegmentationClass"),
        licence=LICENCE,
        metric="miou",
        held_by="nothing",
        test="val",
        downloads=(TRAINVAL_2012,),
        recipe=RECIPE,
    ),
    DataSet(
        name="sbd",
        title="Semantic Boundaries, train_noval",
        folder="sbd",
        classes=21,
        counts={"train_noval": 5623},
        read=sbd,
        needs=(f"{SBD_FOLDER}/img", f"{SBD_FOLDER}/cls", f"{SBD_FOLDER}/train_noval.txt"),
        licence="none stated; research",
        metric="miou",
        train="train_noval",
        held_by="nothing",
        test="",
        checksums={f"{SBD_FOLDER}/train_noval.txt": "79bff800c5f0b1ec6b21080a3c066722"},
        downloads=(
            Download(
                path="benchmark.tgz",
                urls=(
                    "https://www2.eecs.berkeley.edu/Research/Projects/CS/vision/grouping/semantic_contours/benchmark.tgz",
                ),
                digest="md5:82b4d87ceb2ed10f6038a1cba92111cb",
                at_most_mb=1500,
                unpack_to=".",
            ),
            Download(
                path=f"{SBD_FOLDER}/train_noval.txt",
                urls=("https://www.cs.cornell.edu/~bharathh/train_noval.txt",),
                digest="md5:79bff800c5f0b1ec6b21080a3c066722",
                at_most_mb=1,
            ),
        ),
        recipe=(
            "Unpack benchmark.tgz (MD5 82b4d87ceb2ed10f6038a1cba92111cb) in {folder} and put train_noval.txt beside "
            "img/ and cls/ in benchmark_RELEASE/dataset; it names 5,623 images that are not in VOC 2012's validation "
            "split."
        ),
    ),
)
