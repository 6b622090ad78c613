"""Drawn tasks of noise, a few images of each class, in place of the real ones."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest

from benchmarks.data import embedded
from benchmarks.data.images import ImageSplit, ImageTask


def tiny_task(name: str, classes: int) -> ImageTask:
    """Noise with the name of a drawn task."""
    random = np.random.default_rng(classes)

    def split(per_class: int) -> ImageSplit:
        labels = np.repeat(np.arange(classes, dtype=np.int64), per_class)
        images = random.integers(0, 256, (len(labels), 32, 32, 3), dtype=np.uint8)
        return ImageSplit(images=images, labels=labels)

    names = tuple(f"class {index}" for index in range(classes))
    return ImageTask(name=name, class_names=names, train=split(3), val=split(1), test=split(2), source="noise")


def draw_noise(monkeypatch: pytest.MonkeyPatch, **classes: int) -> None:
    """Let this process, and all that it forks, draw noise where tasks of these names are not in the cache."""
    drawn: dict[str, tuple[Callable[[], ImageTask], int]] = {
        name: (partial(tiny_task, name, count), embedded.data_version(name)) for name, count in classes.items()
    }
    for name, task in drawn.items():
        monkeypatch.setitem(embedded._TASKS, name, task)
