"""How a cost grows with what there is of something: seconds at several sizes, and the exponent between the largest.

A cost a + b n has an exponent of at most 1; more says that something does more than its work.
"""

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import log
from pathlib import Path

import numpy as np
import timm
import torch
from torch import nn

from benchmarks.perf.arms import costed
from benchmarks.perf.growth_of_records import on_records
from benchmarks.perf.paired import interleaved_seconds
from benchmarks.perf.rows import PerfRow, perf_row
from benchmarks.perf.skip_sums import block_of_sums
from delta_core import DeltaModel, PatchCache
from delta_core.training.data.splits import FeatureSplit
from delta_core.training.engine import predict_split, top1, train_module
from delta_core.training.fabric import make_fabric
from delta_core.training.recipe import Recipe
from delta_core.training.tensor_store import TensorStore
from delta_core.weights import Preprocessing

WIDTH = 512
"""Features of an image, as a resnet18 pools them."""
ONE_EPOCH = Recipe(epochs=1, lr=0.01, head_lr=0.01, batch_size=128)
VIEW = Preprocessing(image_size=224, crop_pct=1.0, interpolation="bicubic", mean=(0.5,) * 3, std=(0.5,) * 3)


@dataclass(frozen=True, kw_only=True)
class Key:
    """Of features that stand for those of so many images."""

    images: int


def measure(
    *,
    repetitions: int = 7,
    images: Sequence[int] = (1_000, 10_000, 100_000),
    classes: Sequence[int] = (10, 100, 1_000, 10_000),
    sides_px: Sequence[int] = (64, 128, 256, 512),
    sub_blocks: Sequence[int] = (4, 8, 16, 32),
    patches: Sequence[int] = (1, 10, 100, 1_000),
    records: Sequence[int] = (100, 1_000, 10_000),
) -> list[PerfRow]:
    """Seconds at each size against the smallest, and the exponents.

    Args:
        repetitions: paired repetitions.
        images: of an epoch of a head on stored features, read again for the evaluation.
        classes: of such an epoch over 2,048 images, its accuracy, and the patch saved and loaded.
        sides_px: of an image that goes through a resnet18 under Delta (4); the size is its pixels.
        sub_blocks: of a block whose sums are made with their gradients; the size is its skips.
        patches: Delta (1) on one resnet18 in one pass of one image of 64 px, and loaded from their folders.
        records: collected into new tables, read, planned, and shown in all reports (rows, ten a record).
    """
    rows: list[PerfRow] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        net = timm.create_model("resnet18")
        costs: list[tuple[str, str, Mapping[int, Callable[[], object]]]] = [
            ("epoch of a head on stored features", "images", {n: _epoch(n, 10, folder) for n in images}),
            ("epoch of a head, its patch kept and loaded", "classes", {n: _task(n, folder) for n in classes}),
            ("forward pass of delta (4)", "pixels", {side**2: _image(net, side) for side in sides_px}),
            ("sums of a block", "skips", {k * (k + 1) // 2: _sums(k) for k in sub_blocks}),
            ("forward_patches", "patches", {n: _one_pass(net, n) for n in patches}),
            ("loading", "patches", {n: _loading(net, n, folder / "shelf") for n in patches}),
        ]
        for cost, per, runs in costs:
            rows += growth(cost, per, interleaved_seconds(runs, repetitions))
        for cost, runs in on_records(records, folder).items():
            rows += growth(cost, "records", interleaved_seconds(runs, repetitions))
    return rows


def growth(cost: str, per: str, seconds: Mapping[int, Sequence[float]]) -> list[PerfRow]:
    """Rows of one cost from its seconds by size: each size against the smallest, and the exponent against 1.

    >>> rows = growth("cost", "things", {1: [1.1], 10: [2.0], 100: [11.0]})
    >>> [(row.name, round(row.ratio, 2)) for row in rows]
    [('cost, 10 things / 1', 1.82), ('cost, 100 things / 1', 10.0), ('exponent of cost in things / 1', 0.74)]
    >>> rows[-1].setting
    '{"fixed_s": 1.0, "per_one_s": 0.1, "sizes": [1, 10, 100]}'
    """
    sizes = sorted(seconds)
    smallest, second, largest = sizes[0], sizes[-2], sizes[-1]
    per_one, fixed = np.polyfit(sizes, [np.median(seconds[size]) for size in sizes], 1)
    fit: dict[str, object] = {
        "sizes": sizes, "fixed_s": round(float(fixed), 6), "per_one_s": round(float(per_one), 9),
    }  # fmt: skip
    exponents = [
        log(most / less) / log(largest / second) for most, less in zip(seconds[largest], seconds[second], strict=True)
    ]
    return [
        *(
            perf_row(f"{cost}, {size} {per} / {smallest}", "s", seconds[size], seconds[smallest], {})
            for size in sizes[1:]
        ),
        perf_row(f"exponent of {cost} in {per} / 1", "", exponents, [1.0] * len(exponents), fit),
    ]


def _epoch(images: int, classes: int, folder: Path) -> Callable[[], nn.Module]:
    """One epoch of a head over features in the store, and a pass of evaluation."""

    def drawn() -> Iterator[torch.Tensor]:
        for part in torch.arange(images).split(1_000):
            yield torch.randn(len(part), WIDTH, generator=torch.Generator().manual_seed(int(part[0])))

    store = TensorStore(root=folder / "features", limit_gb=1)
    features = store.tensor("drawn", Key(images=images), images, torch.float32, drawn)
    if features is None:
        raise RuntimeError("The features do not fit on this disk.")
    split = FeatureSplit(inputs=features, labels=torch.arange(images) % classes, preprocessing=VIEW)
    fabric = make_fabric("cpu", "32-true")

    def run() -> nn.Module:
        head = nn.Linear(WIDTH, classes)
        train_module(head, head, split, ONE_EPOCH, fabric, seed=0)
        top1(predict_split(head, split, fabric), split.labels)
        return head

    return run


def _task(classes: int, folder: Path) -> Callable[[], object]:
    epoch = _epoch(2_048, classes, folder)
    model = DeltaModel(timm.create_model("resnet18"))
    model.add_patch("task", num_classes=classes, class_names=[f"class {number}" for number in range(classes)])

    def run() -> None:
        model.patch("task").head.load_state_dict(epoch().state_dict())
        model.load_patch(model.save_patch(folder / f"classes-{classes}", "task"), "again")
        model.delete_patch("again")

    return run


def _image(net: nn.Module, side_px: int) -> Callable[[], object]:
    model = DeltaModel(net)
    model.add_patch("task", num_classes=10, config=costed(4))
    model.eval()
    x = torch.randn(1, 3, side_px, side_px)
    return torch.inference_mode()(lambda: model(x))


def _sums(k: int) -> Callable[[], object]:
    x = torch.randn(4, 128, 14, 14).contiguous(memory_format=torch.channels_last)
    gates = torch.rand(4, k * (k + 1) // 2) / k
    return lambda: block_of_sums(gates, x, k)


def _one_pass(net: nn.Module, patches: int) -> Callable[[], object]:
    model = DeltaModel(net)
    for number in range(patches):
        model.add_patch(f"task{number}", num_classes=10, config=costed(1))
    model.eval()
    x = torch.randn(1, 3, 64, 64)
    return torch.inference_mode()(lambda: model.forward_patches(x))


def _loading(net: nn.Module, patches: int, shelf: Path) -> Callable[[], object]:
    model = DeltaModel(net)
    model.add_patch("task", num_classes=10, config=costed(1))
    names = [f"task{number}" for number in range(patches)]
    kept = model.save_patch(shelf / "task")
    for name in names:
        shutil.copytree(kept, shelf / name, dirs_exist_ok=True)

    def run() -> None:
        cache = PatchCache(model, shelf, most=patches)
        cache.load(names)
        for name in names:
            cache.drop(name)

    return run
