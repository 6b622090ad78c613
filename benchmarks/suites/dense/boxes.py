"""Boxes for mmdet from a folder in VOC's layout, whatever its classes and the endings of its images."""

from pathlib import Path
from typing import Any

from mmdet.datasets import XMLDataset
from mmdet.registry import DATASETS, TRANSFORMS

from benchmarks.suites.dense.folders.described import picture
from benchmarks.suites.dense.pictures import LOADER, LoadPicture

TRANSFORMS.register_module(name=LOADER, module=LoadPicture)


@DATASETS.register_module()
class VocLayout(XMLDataset):  # type: ignore[misc]
    """mmdet's data set of XML files, with images as JPEG or PNG."""

    def parse_data_info(self, img_info: dict[str, Any]) -> dict[str, Any]:
        """Name the image that is there; mmdet takes it to be a `.jpg`."""
        image = picture(Path(self.sub_data_root) / self.img_subdir, img_info["img_id"])
        file_name = f"{self.img_subdir}/{image.name}"
        return super().parse_data_info(img_info | {"file_name": file_name})  # type: ignore[no-any-return]
