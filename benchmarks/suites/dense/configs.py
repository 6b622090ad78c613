"""Pieces that the configs of `detection/` and `segmentation/` are put together from, by what is there to train on.

A config of mmengine takes parameters from the environment alone:

| variable | what it sets |
|---|---|
| DELTA_DATA | folder of the data (see data.py here), or `scenes`; default: data/VOCdevkit, else scenes |
| DELTA_HEADS | `stock` or `narrow` (a quarter of the channels); default: narrow on drawn scenes |
| DELTA_CACHE | where drawn scenes and slim nets are kept; default: .cache of this project |
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import timm
import torch

from benchmarks.nets.slim import PREPROCESSING, SLIM
from benchmarks.suites.dense.data import DenseData, DenseSplit, detection_data, drawn_data, segmentation_data
from delta_core import DeltaError
from delta_core.training.errors import UserError
from delta_core.weights import PYPI_WEIGHTS

Settings = dict[str, Any]
SCENES = "scenes"
SLIM_BACKBONE = "SlimBackbone"
"""Of slim_backbone.py, which a config imports for mmengine alone."""
HEADS = ("stock", "narrow")
STAGES = (1, 2, 3, 4)
"""Levels of a net at strides 4, 8, 16 and 32: a ResNet's four stages."""
IMAGENET = {"mean": [123.675, 116.28, 103.53], "std": [58.395, 57.12, 57.375]}
"""Of OpenMMLab's bases, in RGB."""


def cache_of(project: str | Path) -> Path:
    """Where drawn scenes and slim nets are kept."""
    return Path(os.environ.get("DELTA_CACHE") or Path(project) / ".cache").resolve()


def data_of(task: str, project: str | Path) -> DenseData:
    """What to train on; says in one line that it is drawn where nobody chose that.

    Raises:
        UserError: if the folder that was chosen lacks something.
    """
    read: Callable[[Path], DenseData] = detection_data if task == "detection" else segmentation_data
    chosen = os.environ.get("DELTA_DATA", "")
    standard = Path(project) / task / "data" / "VOCdevkit"
    if chosen and chosen != SCENES:
        return read(Path(chosen))
    if not chosen and standard.is_dir():
        return read(standard)
    if not chosen:
        print(f"{task}/data/VOCdevkit is not there and DELTA_DATA is not set: training on drawn scenes.")
    return drawn_data(cache_of(project), task)


def heads_of(data: DenseData) -> str:
    """Width of neck and heads. Raises UserError for a name that is not known."""
    heads = os.environ.get("DELTA_HEADS") or ("narrow" if data.is_drawn else "stock")
    if heads not in HEADS:
        raise UserError(f"DELTA_HEADS is {heads!r}; choose stock or narrow.")
    return heads


def backbone(architecture: str, weights: str, is_drawn: bool, project: str | Path) -> Settings:
    """Net and weights of a DeltaBackbone: on drawn scenes the slim net of that name, if there is one."""
    if is_drawn and architecture in SLIM:
        return {"type": SLIM_BACKBONE, "architecture": architecture, "cache": str(cache_of(project))}
    return {"type": "DeltaBackbone", "architecture": architecture, "weights": weights}


def channels(settings: Settings, levels: Sequence[int] = STAGES) -> list[int]:
    """Channels of the levels of a backbone.

    Raises:
        DeltaError: for an architecture that timm does not know, or that has fewer levels.
    """
    architecture = settings["architecture"]
    options = SLIM[architecture] if settings.get("type") == SLIM_BACKBONE else {}
    if not timm.is_model(architecture):
        raise DeltaError(f"backbone.architecture is {architecture!r}, which is not a model of timm.")
    with torch.device("meta"):
        net: Any = timm.create_model(architecture, features_only=True, **options)
    found = net.feature_info.channels()
    if max(levels) >= len(found):
        raise DeltaError(f"backbone.out_indices is {tuple(levels)}; {architecture} has levels 0 to {len(found) - 1}.")
    return [found[level] for level in levels]


def decoder_input(channels: Sequence[int], is_drawn: bool) -> Settings:
    """What DeepLab's head reads: the last level; on drawn scenes all four.

    The slim nets saw images of 32 pixels, where the last level is one pixel and most of its weights see no image. With
    the last three levels a head on the frozen net stays at an mIoU of 18 on validation scenes, with the first ones it
    passes 49 in the same time.
    """
    if not is_drawn:
        return {"in_channels": channels[3], "in_index": 3}
    return {"in_channels": list(channels), "in_index": [0, 1, 2, 3], "input_transform": "resize_concat"}


def normalisation(settings: Settings) -> Settings:
    """Mean and standard deviation that the weights were trained with, for 8-bit RGB."""
    if settings.get("type") == SLIM_BACKBONE:
        return {
            "mean": [255 * value for value in PREPROCESSING.mean],
            "std": [255 * value for value in PREPROCESSING.std],
        }
    if settings["weights"].removeprefix("pypi:") in PYPI_WEIGHTS:
        return {"mean": [127.0] * 3, "std": [128.0] * 3}
    return IMAGENET


def keep_ratio_scale(data: DenseData, stock: tuple[int, int]) -> tuple[int, int]:
    """Long and short side to resize to: those of the stock config; images other than VOC's are never enlarged."""
    long, short = data.image_size
    return stock if data.is_voc or long >= stock[0] or short >= stock[1] else data.image_size


def short_side(data: DenseData, stock: int) -> int:
    """Side of a segmentation crop: that of the stock config; images other than VOC's are never enlarged."""
    return stock if data.is_voc else min(stock, data.image_size[1])


def boxes(data: DenseData, split: DenseSplit, pipeline: list[Settings], **options: Any) -> Settings:
    """A detection data set of mmdet."""
    kind: Settings = {"type": "VOCDataset"}
    if not data.is_voc:
        kind = {"type": "XMLDataset", "metainfo": {"classes": data.classes}}
    year = str(Path(split.images).parent)
    return {
        **kind,
        "data_root": f"{data.root}/",
        "ann_file": split.names,
        "data_prefix": {"sub_data_root": f"{year}/"},
        "pipeline": pipeline,
        **options,
    }


def scored_classes(data: DenseData) -> tuple[str, ...]:
    """Classes of segmentation, in the order of the masks' values."""
    return ("background", *data.classes) if data.has_ground else data.classes


def masks(data: DenseData, split: DenseSplit, pipeline: list[Settings]) -> Settings:
    """A segmentation data set of mmseg."""
    kind: Settings = {"type": "PascalVOCDataset"}
    if not (data.is_voc and data.has_ground):
        kind = {"type": "BaseSegDataset", "metainfo": {"classes": scored_classes(data)}}
    return {
        **kind,
        "data_root": str(data.root),
        "ann_file": split.names,
        "data_prefix": {"img_path": split.images, "seg_map_path": split.annotations},
        "ignore_index": data.ignore_index,
        "pipeline": pipeline,
    }
