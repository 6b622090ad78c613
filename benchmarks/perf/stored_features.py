"""Reading features of the frozen part in each type and from each place, against computing them anew."""

import tempfile
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import get_args

import timm
import torch

from benchmarks.perf.arms import CLASSES, costed
from benchmarks.perf.paired import interleaved_seconds
from benchmarks.perf.rows import PerfRow, perf_row
from delta_core import DeltaModel
from delta_core.training.data.splits import NamedSplit, Split, TensorSplit
from delta_core.training.memory_store import MemoryStore
from delta_core.training.prefix_features import PrefixFeatures, bytes_of_features, feature_shape
from delta_core.training.recipe import FeatureDtype
from delta_core.training.tensor_store import TensorStore
from delta_core.weights import Preprocessing

CPU = torch.device("cpu")
ANEW = "computed anew"


def measure(
    *,
    repetitions: int = 7,
    architecture: str = "resnet18",
    n_modules: tuple[int, ...] = (1, 4),
    images: int = 128,
    batch: int = 16,
    image_px: int = 224,
) -> list[PerfRow]:
    """Seconds until all batches of an epoch were read, in an order that is drawn; and bytes that are kept.

    Args:
        repetitions: paired repetitions.
        architecture: timm net with random weights.
        n_modules: modules on the last blocks; the more, the shorter is the frozen part in front of them.
        images: images of an epoch, which the system has in memory once they are read.
        batch: images of one step.
        image_px: side of the square input in pixels.
    """
    return [row for n in n_modules for row in _measure(repetitions, architecture, n, images, batch, image_px)]


def _measure(
    repetitions: int, architecture: str, n_modules: int, images: int, batch: int, image_px: int
) -> list[PerfRow]:
    model = DeltaModel(timm.create_model(architecture).to(memory_format=torch.channels_last))
    model.add_patch("task", num_classes=CLASSES, config=costed(n_modules))
    model.eval()
    pixels = torch.randint(256, (images, 3, image_px, image_px), dtype=torch.uint8)
    preprocessing = Preprocessing(
        image_size=image_px, crop_pct=1.0, interpolation="bicubic", mean=(0.5,) * 3, std=(0.25,) * 3
    )
    labels = torch.zeros(images, dtype=torch.long)
    data = TensorSplit(inputs=pixels, labels=labels, preprocessing=preprocessing)
    named = NamedSplit(images=data, data_set="drawn", data_sha="drawn", part="train")
    order = torch.randperm(images)
    dtypes: tuple[FeatureDtype, ...] = get_args(FeatureDtype)

    def reading(split: Split) -> Callable[[], object]:
        return lambda: deque(split.batches(batch, device=CPU, order=order), maxlen=0)

    with tempfile.TemporaryDirectory() as folder:
        kept = partial(PrefixFeatures, model=model, device=CPU)
        disk = TensorStore(root=Path(folder), limit_gb=20)
        runs = {ANEW: reading(kept(store=TensorStore(root=Path(folder), limit_gb=0), dtype="float32").of(named))}
        for dtype in dtypes:
            runs[f"{dtype} on disk"] = reading(kept(store=disk, dtype=dtype).of(named))
            runs[f"{dtype} in memory"] = reading(kept(store=MemoryStore(), dtype=dtype).of(named))
        seconds = interleaved_seconds(runs, repetitions)
    shape = feature_shape(model, image_px)
    setting: dict[str, object] = {
        "architecture": architecture, "n_modules": n_modules, "shape": shape, "images": images, "batch": batch,
        "image_px": image_px,
    }  # fmt: skip
    times = [
        perf_row(f"{name} / {ANEW}, Delta ({n_modules})", "s", seconds[name], seconds[ANEW], setting)
        for name in runs
        if name != ANEW
    ]
    whole = [bytes_of_features(shape, "float32") / 2**20]
    sizes = [
        perf_row(
            f"bytes in {dtype} / float32, Delta ({n_modules})",
            "MiB an image",
            [bytes_of_features(shape, dtype) / 2**20],
            whole,
            setting,
        )
        for dtype in dtypes
        if dtype != "float32"
    ]
    return [*times, *sizes]
