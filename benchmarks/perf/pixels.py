"""Reading decoded images from disk against decoding them: what an epoch waits for, without any net."""

import tempfile
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.perf.rows import PerfRow, perf_row
from delta_core.training.data.folders import load_image_folder
from delta_core.training.data.pixels import PixelStore
from delta_core.training.data.splits import LazySplit, TensorSplit
from delta_core.training.errors import UserError
from delta_core.training.tensor_store import TensorStore
from delta_core.weights import Preprocessing

CPU = torch.device("cpu")
BATCH_SIZE = 64
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def measure(
    *, repetitions: int = 9, data_root: Path | None = None, task: str = "flowers17", image_px: int = 224
) -> list[PerfRow]:
    """Training images of an epoch: the first decodes, keeps and reads, later ones read.

    Pixels are what a GPU is sent, which normalises them itself; batches are normalised on the CPU.

    Raises:
        UserError: without data.
    """
    if data_root is None:
        raise UserError(f"pixels reads real images; pass --data-root with an ImageFolder {task} below.")
    mean, std = IMAGENET
    preprocessing = Preprocessing(image_size=image_px, crop_pct=0.875, interpolation="bicubic", mean=mean, std=std)
    fresh = load_image_folder(task, data_root / task, preprocessing, views=0).train
    assert isinstance(fresh, LazySplit), "fresh views are not held in memory"
    images = replace(fresh, transform=preprocessing.resize_and_crop())
    seconds: dict[str, list[float]] = {name: [] for name in ("decode", "pixels", "batches")}
    for _ in range(repetitions):
        with tempfile.TemporaryDirectory() as folder:
            store = PixelStore(store=TensorStore(root=Path(folder), limit_gb=10), name=task, data_sha="")
            started = time.perf_counter()
            kept = store.keep("train", images)
            seconds["decode"].append(time.perf_counter() - started)
            assert isinstance(kept, TensorSplit), "nothing was kept"
            orders = torch.randperm(len(kept.labels)).split(BATCH_SIZE)
            seconds["pixels"].append(_seconds(kept.inputs[order] for order in orders))
            seconds["batches"].append(_seconds(kept.batches(BATCH_SIZE, device=CPU, order=torch.cat(orders))))
    setting: dict[str, object] = {"task": task, "images": len(images.labels), "image_px": image_px}
    return [
        perf_row(f"later epoch of {what} / first epoch", "s", later, _sums(seconds["decode"], later), setting)
        for what, later in (("uint8 pixels", seconds["pixels"]), ("normalised batches", seconds["batches"]))
    ]


def _sums(one: list[float], other: list[float]) -> list[float]:
    """The first epoch decodes, keeps and then reads as every later one does."""
    return [each + more for each, more in zip(one, other, strict=True)]


def _seconds(batches: Iterable[Tensor]) -> float:
    started = time.perf_counter()
    for _ in batches:
        pass
    return time.perf_counter() - started
