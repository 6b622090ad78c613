"""A drawn world for `delta-patch`: image folders, a small net with weights in a file, and a patch."""

import sys
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image

from delta_core.tool import cli as command_line

ARCH, SIZE = "resnet10t", 64
CLASSES = ("ant bear", "bee|fly", "cat")


def write_images(folder: Path, count: int, shade: int, first: int = 0) -> None:
    folder.mkdir(parents=True)
    for number in range(count):
        noise = np.random.default_rng([shade, first + number]).integers(0, 60, (40, 60, 3), dtype=np.uint8)
        Image.fromarray(noise + np.uint8(shade)).save(folder / f"{number}.png")


def write_classes(root: Path, count: int, classes: tuple[str, ...] = CLASSES, first: int = 0) -> Path:
    for index, name in enumerate(classes):
        write_images(root / name, count, 60 * index, first)
    return root


def make_world(root: Path) -> Path:
    """Images with splits (pets), without (plain), weights in a file (net.pt), and a patch of pets (kept)."""
    write_classes(root / "pets" / "train", 8)
    write_classes(root / "pets" / "test", 4, first=8)
    write_classes(root / "plain", 10)
    torch.manual_seed(3)
    torch.save(timm.create_model(ARCH).state_dict(), root / "net.pt")
    with pytest.MonkeyPatch.context() as patch:
        assert call(patch, *fit_words(root)) == 0
    return root


def call(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    monkeypatch.setattr(sys, "argv", ["delta-patch", *map(str, words)])
    with pytest.raises(SystemExit) as left:
        command_line.main()
    assert isinstance(left.value.code, int)
    return left.value.code


def fit_words(root: Path, out: str = "kept", data: str = "pets", **options: object) -> list[object]:
    chosen = {"arch": ARCH, "weights": root / "net.pt", "modules": 1, "epochs": 2, "image-size": SIZE} | options
    flags = [word for name, value in chosen.items() for word in (f"--{name}", value)]
    return ["fit", root / data, "-o", root / out, *flags, "--device", "cpu"]
