"""A config of `detection/` or `segmentation/` with its late values settled: what a Runner takes."""

import os
from collections.abc import Mapping
from pathlib import Path

from mmengine.config import Config

from benchmarks.suites.dense.chosen import AUTO, choose
from benchmarks.suites.dense.facts import backbone_of, facts_of
from benchmarks.suites.dense.late import settle
from benchmarks.suites.dense.scenes import scenes_folder

PROJECT = Path(__file__).parents[3]


def settled(config: Config, environment: Mapping[str, str] = os.environ) -> Config:
    """Settle the late values of a config; drawn scenes are drawn if they are not there yet.

    `data` and `heads` say afterwards what was chosen, so that a saved config chooses the same.

    A config without `data` is nobody's of these and stays as it is.

    Raises:
        UserError, DeltaError: for data, heads or a backbone that cannot be had.
    """
    if "data" not in config:
        return config
    chosen = choose(config.data, config.get("heads", AUTO), PROJECT, environment)
    if chosen.data.is_drawn:
        if not chosen.data.root.is_dir():
            print(f"Drawing scenes, once; they are kept in {chosen.data.root}.")
        scenes_folder(chosen.cache)
    found = config.copy()
    backbone = backbone_of(chosen, dict(config.model.backbone))
    found.model.backbone = backbone
    by = {"by_data": "drawn" if chosen.data.is_drawn else "folder", "by_heads": chosen.heads}
    facts = facts_of(chosen, backbone)
    for name in list(found.keys()):
        found[name] = settle(found[name], facts, by)
    found.data = chosen.to_config(config.data.task)
    found.heads = chosen.heads
    found.train_images = chosen.data.train_images
    found.classes = list(chosen.data.scored_classes)
    return found
