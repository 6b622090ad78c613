"""Masks for mmseg: pairs of files whatever the ending of the images, and outlines of COCO's files."""

from pathlib import Path
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform
from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS, TRANSFORMS
from pycocotools import mask as outlines
from pycocotools.coco import COCO

from benchmarks.suites.dense.folders.described import picture, pictures_in
from benchmarks.suites.dense.pictures import LOADER, LoadPicture

TRANSFORMS.register_module(name=LOADER, module=LoadPicture)


@DATASETS.register_module()
class PairedMasks(BaseSegDataset):  # type: ignore[misc]
    """Images as JPEG or PNG, and a PNG of the same name for each."""

    def load_data_list(self) -> list[dict[str, Any]]:
        """Pairs in the order of the list of names, or of the names in the folder."""
        images, masks = (Path(self.data_prefix[part]) for part in ("img_path", "seg_map_path"))
        if self.ann_file:
            names = Path(self.ann_file).read_text("utf-8").split()
            found = [picture(images, name) for name in names]
        else:
            found = pictures_in(images)
        shared = {"label_map": self.label_map, "reduce_zero_label": self.reduce_zero_label}
        return [
            {"img_path": str(path), "seg_map_path": str(masks / f"{path.stem}.png"), **shared, "seg_fields": []}
            for path in found
        ]


@DATASETS.register_module()
class CocoMasks(BaseSegDataset):  # type: ignore[misc]
    """Images of one of COCO's files with the outlines of their objects; `LoadCocoMasks` fills them in."""

    def load_data_list(self) -> list[dict[str, Any]]:
        """Images in the order of the file; outlines are (class, polygons or run lengths)."""
        content = COCO(self.ann_file)
        numbers = {
            content.getCatIds(catNms=[name])[0]: index for index, name in enumerate(self.metainfo["classes"]) if index
        }
        listed = []
        for image in content.loadImgs(content.getImgIds()):
            objects = content.loadAnns(content.getAnnIds(imgIds=[image["id"]], iscrowd=False))
            listed.append(
                {
                    "img_path": str(Path(self.data_prefix["img_path"]) / image["file_name"]),
                    "outlines": [
                        (numbers[entry["category_id"]], entry["segmentation"])
                        for entry in sorted(objects, key=lambda entry: -entry["area"])
                        if entry["category_id"] in numbers and entry.get("segmentation")
                    ],
                    "size": (image["height"], image["width"]),
                    "label_map": self.label_map,
                    "reduce_zero_label": self.reduce_zero_label,
                    "seg_fields": [],
                }
            )
        return listed


@TRANSFORMS.register_module()
class LoadCocoMasks(BaseTransform):  # type: ignore[misc]
    """Outlines -> a mask (H, W) uint8: 0 = ground, else 1 + class; small objects lie on top of large ones."""

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Add `gt_seg_map`; an image that comes without outlines, as those of an inferencer do, gets none."""
        if "outlines" not in results:
            return results
        height, width = results["size"]
        mask = np.zeros((height, width), np.uint8)
        for number, outline in results["outlines"]:
            runs = outlines.frPyObjects(outline, height, width)
            runs = outlines.merge(runs) if isinstance(runs, list) else runs
            mask[outlines.decode(runs) > 0] = number
        results["gt_seg_map"] = mask
        results["seg_fields"].append("gt_seg_map")
        return results
