"""What late values of a config stand for: facts of its data and of its net."""

import os
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import timm
import torch

from benchmarks.nets.slim import PREPROCESSING, SLIM
from benchmarks.suites.dense.chosen import Chosen
from benchmarks.suites.dense.folders.described import DenseData, DenseSplit
from delta_core import DeltaError
from delta_core.weights import PYPI_WEIGHTS

Settings = dict[str, Any]
SLIM_BACKBONE = "SlimBackbone"
"""Of slim_backbone.py, which a config imports for mmengine alone."""
STAGES = (1, 2, 3, 4)
"""Levels of a net at strides 4, 8, 16 and 32: a ResNet's four stages."""
IMAGENET = {"mean": [123.675, 116.28, 103.53], "std": [58.395, 57.12, 57.375]}
"""Of OpenMMLab's bases, in RGB."""


def facts_of(chosen: Chosen, backbone: Settings) -> dict[str, Callable[..., Any]]:
    """Every fact by name, as a function of what a config gives beside it.

    Args:
        chosen: data and heads.
        backbone: of the model in the config, settled.
    """
    data = chosen.data
    return {
        "num_classes": lambda: len(data.classes),
        "scored_classes": lambda: len(data.scored_classes),
        "ignore_index": lambda: data.ignore_index,
        "boxes_to_train_on": lambda pipeline: [
            boxes(data, split, pipeline, filter_cfg=filter_of(data)) for split in data.train
        ],
        "boxes_to_test": lambda pipeline: boxes(data, data.test, pipeline, test_mode=True),
        "masks_to_train_on": lambda pipeline: [masks(data, split, pipeline) for split in data.train],
        "masks_to_test": lambda pipeline: masks(data, data.test, pipeline),
        "load_masks": lambda: {"type": "LoadCocoMasks" if data.format == "coco" else "LoadAnnotations"},
        "keep_ratio_scale": partial(keep_ratio_scale, data),
        "scale_to_short_side": lambda stock: (4 * short_side(data, stock), short_side(data, stock)),
        "crop_size": lambda stock: (short_side(data, stock),) * 2,
        "mean": lambda: normalisation(backbone)["mean"],
        "std": lambda: normalisation(backbone)["std"],
        "channels": lambda: channels(backbone),
        "channels_of_level": lambda level: channels(backbone)[level],
        "norm_of_heads": norm_of_heads,
        "decoder_channels": lambda: channels(backbone) if data.is_drawn else channels(backbone)[3],
    }


def backbone_of(chosen: Chosen, settings: Settings) -> Settings:
    """A DeltaBackbone as a config describes it: on drawn scenes the slim net of that name, if there is one."""
    architecture = settings["architecture"]
    if chosen.data.is_drawn and architecture in SLIM:
        rest = {name: value for name, value in settings.items() if name not in ("type", "weights")}
        return {"type": SLIM_BACKBONE, **rest, "cache": str(chosen.cache)}
    return settings


def channels(settings: Settings, levels: Sequence[int] = STAGES) -> list[int]:
    """Channels of the levels of a backbone.

    Raises:
        DeltaError: for an architecture that timm does not know, or that has fewer levels.
    """
    architecture = settings["architecture"]
    if not timm.is_model(architecture):
        raise DeltaError(f"backbone.architecture is {architecture!r}, which is not a model of timm.")
    levels = settings.get("out_indices", levels)
    if not isinstance(levels, list | tuple):
        raise DeltaError(f"backbone.out_indices is {levels!r}; give a list of levels, such as {STAGES}.")
    found = _channels_of_levels(architecture, is_slim=settings.get("type") == SLIM_BACKBONE)
    if max(levels) >= len(found):
        raise DeltaError(f"backbone.out_indices is {tuple(levels)}; {architecture} has levels 0 to {len(found) - 1}.")
    return [found[level] for level in levels]


@cache  # a net is built for it, and a config asks several times
def _channels_of_levels(architecture: str, *, is_slim: bool) -> tuple[int, ...]:
    with torch.device("meta"):
        net: Any = timm.create_model(architecture, features_only=True, **(SLIM[architecture] if is_slim else {}))
    return tuple(net.feature_info.channels())


def normalisation(settings: Settings) -> Settings:
    """Mean and standard deviation that the weights were trained with, for 8-bit RGB."""
    if settings.get("type") == SLIM_BACKBONE:
        return {
            "mean": [255 * value for value in PREPROCESSING.mean],
            "std": [255 * value for value in PREPROCESSING.std],
        }
    if str(settings.get("weights", "")).removeprefix("pypi:") in PYPI_WEIGHTS:
        return {"mean": [127.0] * 3, "std": [128.0] * 3}
    return IMAGENET


def norm_of_heads() -> Settings:
    """BatchNorm of a segmentor's heads: over all processes, where there are several."""
    return {"type": "SyncBN" if int(os.environ.get("WORLD_SIZE", "1")) > 1 else "BN", "requires_grad": True}


def keep_ratio_scale(data: DenseData, stock: tuple[int, int]) -> tuple[int, int]:
    """Long and short side to resize to: those of the stock config; images other than VOC's are never enlarged."""
    long, short = data.image_size
    return tuple(stock) if data.is_voc or long >= stock[0] or short >= stock[1] else data.image_size  # type: ignore[return-value]


def short_side(data: DenseData, stock: int) -> int:
    """Side of a segmentation crop: that of the stock config; images other than VOC's are never enlarged."""
    return stock if data.is_voc else min(stock, data.image_size[1])


def filter_of(data: DenseData) -> Settings:
    """Mmdet's base drops what is smaller than 32 pixels, which is nothing in VOC and much in smaller images."""
    return {"filter_empty_gt": True, **({"min_size": 32, "bbox_min_size": 32} if data.is_voc else {})}


def boxes(data: DenseData, split: DenseSplit, pipeline: list[Settings], **options: Any) -> Settings:
    """A detection data set of mmdet."""
    root = {"data_root": f"{data.root}/", "pipeline": pipeline, **options}
    if data.format == "coco":
        kind = {"type": "CocoDataset", "metainfo": {"classes": data.classes}}
        return {**kind, **root, "ann_file": split.annotations, "data_prefix": {"img": f"{split.images}/"}}
    kind = {"type": "VOCDataset"} if data.is_voc else {"type": "VocLayout", "metainfo": {"classes": data.classes}}
    year = str(Path(split.images).parent)
    return {**kind, **root, "ann_file": split.names, "data_prefix": {"sub_data_root": f"{year}/"}}


def masks(data: DenseData, split: DenseSplit, pipeline: list[Settings]) -> Settings:
    """A segmentation data set of mmseg."""
    common = {"data_root": str(data.root), "ignore_index": data.ignore_index, "pipeline": pipeline}
    if data.format == "coco":
        kind = {"type": "CocoMasks", "metainfo": {"classes": data.scored_classes}}
        return {**kind, **common, "ann_file": split.annotations, "data_prefix": {"img_path": split.images}}
    kind = {"type": "PascalVOCDataset"}
    if not (data.is_voc and data.has_ground):
        kind = {"type": "PairedMasks", "metainfo": {"classes": data.scored_classes}}
    places = {"img_path": split.images, "seg_map_path": split.annotations}
    return {**kind, **common, "ann_file": split.names, "data_prefix": places}
