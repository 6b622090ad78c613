"""A cache folder with few drawn scenes and slim nets of random numbers: what the configs of Table 7 look for."""

import json
import shutil
from pathlib import Path
from xml.etree import ElementTree

import torch
from PIL import Image

from benchmarks.nets.open import EMBEDDED_BASE_CLASSES
from benchmarks.nets.pretraining import checkpoint_path
from benchmarks.nets.slim import slim_backbone
from benchmarks.suites.dense.scenes import CLASS_NAMES, scenes_folder
from benchmarks.worlds.embedded import embedded_base
from delta_core.training.sealed_state import write_sealed

BOX = ("xmin", "ymin", "xmax", "ymax")
COUNTS = {"train": 6, "val": 2, "test": 3}


def tiny_cache(folder: Path, *architectures: str) -> Path:
    """Make the cache; the nets are random, so nothing is pre-trained."""
    scenes_folder(folder, COUNTS)
    for architecture in architectures:
        with torch.random.fork_rng():
            torch.manual_seed(1)
            net = slim_backbone(architecture, num_classes=EMBEDDED_BASE_CLASSES)
        path = checkpoint_path(folder, embedded_base(architecture).run_id)
        write_sealed(path, net.state_dict())
    return folder


def as_voc_with_png(devkit: Path, root: Path) -> Path:
    """The scenes in VOC's layout, their images as PNG."""
    shutil.copytree(devkit, root)
    for path in (root / "VOC2007/JPEGImages").iterdir():
        Image.open(path).save(path.with_suffix(".png"))
        path.unlink()
    return root


def as_segnet(devkit: Path, root: Path) -> Path:
    """The scenes in SegNet's layout: images as PNG, and classes as bare names."""
    year = devkit / "VOC2007"
    for split, listed in (("train", "trainval"), ("test", "test")):
        (root / split).mkdir(parents=True)
        (root / f"{split}annot").mkdir()
        for name in (year / f"ImageSets/Segmentation/{listed}.txt").read_text().split():
            Image.open(year / f"JPEGImages/{name}.jpg").save(root / split / f"{name}.png")
            shutil.copy(year / f"SegmentationClass/{name}.png", root / f"{split}annot")
    (root / "classes.txt").write_text("\n".join(("ground", *CLASS_NAMES)))
    return root


def as_coco(devkit: Path, root: Path) -> Path:
    """The scenes in COCO's layout; outlines are the boxes."""
    year = devkit / "VOC2007"
    (root / "annotations").mkdir(parents=True)
    for split, listed in (("train", "trainval"), ("val", "test")):
        (root / split).mkdir()
        images, objects = [], []
        for number, name in enumerate((year / f"ImageSets/Main/{listed}.txt").read_text().split()):
            shutil.copy(year / f"JPEGImages/{name}.jpg", root / split)
            images.append({"id": number, "file_name": f"{name}.jpg", "width": 128, "height": 128})
            for entry in ElementTree.parse(year / f"Annotations/{name}.xml").iter("object"):
                x0, y0, x1, y1 = (int(entry.findtext(f"bndbox/{side}", "0")) - 1 for side in BOX)
                objects.append(
                    {
                        "id": len(objects),
                        "image_id": number,
                        "category_id": 1 + CLASS_NAMES.index(entry.findtext("name", "")),
                        "bbox": [x0, y0, x1 - x0, y1 - y0],
                        "area": (x1 - x0) * (y1 - y0),
                        "iscrowd": 0,
                        "segmentation": [[x0, y0, x1, y0, x1, y1, x0, y1]],
                    }
                )
        kinds = [{"id": 1 + number, "name": name} for number, name in enumerate(CLASS_NAMES)]
        content = {"images": images, "annotations": objects, "categories": kinds}
        (root / f"annotations/instances_{split}.json").write_text(json.dumps(content))
    return root
