"""Drawn tasks of noise in a cache, where the suite looks for the real ones, with a few images of each class."""

from pathlib import Path

import numpy as np

from benchmarks.data import embedded
from benchmarks.data.images import ImageSplit, ImageTask


def write_tiny_task(cache: Path, name: str, classes: int) -> None:
    """Noise under the file name that `load_embedded` looks for."""
    random = np.random.default_rng(classes)

    def split(per_class: int) -> ImageSplit:
        labels = np.repeat(np.arange(classes, dtype=np.int64), per_class)
        images = random.integers(0, 256, (len(labels), 32, 32, 3), dtype=np.uint8)
        return ImageSplit(images=images, labels=labels)

    names = tuple(f"class {index}" for index in range(classes))
    task = ImageTask(name=name, class_names=names, train=split(3), val=split(1), test=split(2), source="noise")
    embedded._write(cache / "data" / f"{name}-v{embedded.data_version(name)}.npz", task)
