"""Image tasks for the embedded scale: drawn by code or carried by pip packages, never downloaded."""

import os
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.data.embedded import (
    autos,
    clutter_digits,
    digits,
    glyphs,
    motions,
    photos,
    planes,
    shapes,
    signs,
    strokes,
    textures,
    walkers,
)
from benchmarks.data.images import ImageSplit, ImageTask

BASE_TASK = "glyphs62"
FINE_GRAINED_TASKS = ("planes", "autos")
DIGIT_TASKS = ("mnist5k", "optdigits", "clutter_digits")
"""Domains of one task, the ten digits."""

# name -> (builder, data version); raise the version whenever a change alters the task's pixels.
_TASKS: dict[str, tuple[Callable[[], ImageTask], int]] = {
    "glyphs62": (glyphs.build, 1),
    "mnist5k": (digits.build_mnist5k, 1),
    "optdigits": (digits.build_optdigits, 1),
    "shapes": (shapes.build, 1),
    "signs": (signs.build, 1),
    "textures": (textures.build, 1),
    "photos": (photos.build, 1),
    "planes": (planes.build, 1),
    "autos": (autos.build, 1),
    "clutter_digits": (clutter_digits.build, 1),
    "strokes": (strokes.build, 1),
    "motions": (motions.build, 1),
    "walkers": (walkers.build, 1),
}

CLASS_NAMES: dict[str, tuple[str, ...]] = {
    "glyphs62": glyphs.CLASS_NAMES,
    "mnist5k": digits.CLASS_NAMES,
    "optdigits": digits.CLASS_NAMES,
    "shapes": shapes.CLASS_NAMES,
    "signs": signs.CLASS_NAMES,
    "textures": textures.CLASS_NAMES,
    "photos": photos.CLASS_NAMES,
    "strokes": strokes.CLASS_NAMES,
    "motions": motions.CLASS_NAMES,
    "walkers": walkers.CLASS_NAMES,
}
"""Names of a task's classes, without drawing it."""


ALL_TASKS = tuple(_TASKS)


def told_of(name: str) -> str:
    """What the images of task `name` are, in a line: the first of the docstring of its module."""
    first = (sys.modules[_entry(name)[0].__module__].__doc__ or "").partition("\n")[0]
    return first.partition(": ")[2] or first


def data_version(name: str) -> int:
    """Version of the pixels of task `name`; part of its cache file's name."""
    return _entry(name)[1]


def load_embedded(name: str, *, cache_dir: Path | None = None) -> ImageTask:
    """Task `name`, one of ALL_TASKS.

    It is read from `cache_dir` if it lies there, else built. A task that was built is left in `cache_dir` for the next
    call. A cache file that is damaged or was cut off is replaced.
    """
    build, version = _entry(name)
    if cache_dir is None:
        return build()
    path = cache_dir / f"{name}-v{version}.npz"
    try:
        return _read(path)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        task = build()
        _write(path, task)
        return task


def _entry(name: str) -> tuple[Callable[[], ImageTask], int]:
    if name not in _TASKS:
        raise ValueError(f"unknown embedded task {name!r}, expected one of {', '.join(_TASKS)}; choose one of them.")
    return _TASKS[name]


def _read(path: Path) -> ImageTask:
    with np.load(path, allow_pickle=False) as arrays:
        train, val, test = (
            ImageSplit(images=arrays[f"{split}_images"], labels=arrays[f"{split}_labels"])
            for split in ("train", "val", "test")
        )
        return ImageTask(
            name=str(arrays["name"]), class_names=tuple(arrays["class_names"].tolist()),
            train=train, val=val, test=test, source=str(arrays["source"]),
        )  # fmt: skip


def _write(path: Path, task: ImageTask) -> None:
    """Write under another name first: readers and racing writers only ever see whole files."""
    arrays: dict[str, Any] = {
        "name": np.array(task.name),
        "class_names": np.array(task.class_names),
        "source": np.array(task.source),
    }
    for split_name, split in task.splits().items():
        arrays[f"{split_name}_images"] = split.images
        arrays[f"{split_name}_labels"] = split.labels
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.stem, suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez_compressed(file, **arrays)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink()
        raise
