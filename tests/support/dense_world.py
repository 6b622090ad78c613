"""A cache folder with few drawn scenes and slim nets of random numbers: what the configs of Table 7 look for."""

from pathlib import Path

import torch

from benchmarks.nets.open import EMBEDDED_BASE_CLASSES
from benchmarks.nets.pretraining import checkpoint_path
from benchmarks.nets.slim import slim_backbone
from benchmarks.suites.dense.scenes import scenes_folder
from benchmarks.worlds.embedded import embedded_base
from delta_core.training.sealed_state import write_sealed

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
