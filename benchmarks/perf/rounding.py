"""Accuracy that rounded features and rounded patch files cost, on real weights and real images from packages."""

import tempfile
from collections import defaultdict
from collections.abc import Mapping
from statistics import mean
from typing import get_args

import torch

from benchmarks.data.load import load_task
from benchmarks.perf.rows import PerfRow, perf_row
from benchmarks.records.names import MAPS
from benchmarks.worlds.options import Options
from benchmarks.worlds.real import IMAGE_SIZE, REAL_WEIGHTS, real_recipes
from benchmarks.worlds.world import env_of
from delta_core import DeltaConfig, DeltaModel
from delta_core.patch_file import MatrixDtype
from delta_core.training.data.splits import TaskData, eval_batches
from delta_core.training.engine import predict, top1
from delta_core.training.fabric import make_fabric
from delta_core.training.memory_store import MemoryStore
from delta_core.training.patch import train_patch
from delta_core.training.prefix_features import PrefixFeatures
from delta_core.training.recipe import FeatureDtype
from delta_core.weights import load_backbone, preprocessing_of

TASKS = ("real:mnist5k", "real:optdigits", "real:photos", "real:solar_cells")
WHOLE = "float32"
CPU = torch.device("cpu")


def measure(
    *,
    repetitions: int = 3,
    tasks: tuple[str, ...] = TASKS,
    architecture: str = "tf_efficientnet_lite0",
    n_modules: tuple[int, ...] = (1, 4),
    epochs: int | None = None,
) -> list[PerfRow]:
    """Test top-1 (%), the mean over tasks, of patches that were trained on rounded features or kept in rounded files.

    Patches are trained as the suite does at scale real and asked for images, not for features, as whoever uses them
    does. `ours / reference` is with rounding and without, of the same seed.

    Args:
        repetitions: seeds of patch and batches.
        tasks: of scale real.
        architecture: a net of scale real.
        n_modules: modules on the last blocks.
        epochs: None = those of scale real.
    """
    options = Options(table="rounding", scale="real", epochs=epochs)
    preprocessing = preprocessing_of(load_backbone(architecture, REAL_WEIGHTS[architecture]), IMAGE_SIZE)
    data = {task: load_task(task, env_of(options, {}), preprocessing) for task in tasks}
    setting: dict[str, object] = {"architecture": architecture, "tasks": tasks, "image_px": IMAGE_SIZE}
    rows = []
    for n in n_modules:
        found: dict[str, list[list[float]]] = defaultdict(list)  # what is rounded -> a list a seed, a number a task
        for seed in range(repetitions):
            of_seed = [_accuracies(architecture, data[task], n, seed, options) for task in tasks]
            for name in of_seed[0]:
                found[name].append([of_task[name] for of_task in of_seed])
        whole = [mean(values) for values in found.pop(WHOLE)]
        for name, values in found.items():
            ours = [mean(of_tasks) for of_tasks in values]
            rows.append(perf_row(f"top-1 with {name} / {WHOLE}, Delta ({n})", "%", ours, whole, setting))
    return rows


def _accuracies(architecture: str, data: TaskData, n: int, seed: int, options: Options) -> Mapping[str, float]:
    """What is rounded, to what -> test top-1 of a task; `WHOLE`: nothing is."""
    found = {}
    dtypes: tuple[FeatureDtype, ...] = get_args(FeatureDtype)
    for dtype in dtypes:
        model = _trained(architecture, data, n, seed, options, dtype)
        found[WHOLE if dtype == WHOLE else f"features in {dtype}"] = _top1(model, data)
        if dtype == WHOLE:
            matrix_dtypes: tuple[MatrixDtype, ...] = get_args(MatrixDtype)
            for matrix_dtype in matrix_dtypes:
                with tempfile.TemporaryDirectory() as folder:
                    model.save_patch(folder, "task", matrix_dtype=matrix_dtype)
                    model.load_patch(folder, f"in {matrix_dtype}")
                found[f"a file in {matrix_dtype}"] = _top1(model, data)
                model.set_patch("task")
    return found


def _trained(architecture: str, data: TaskData, n: int, seed: int, options: Options, dtype: FeatureDtype) -> DeltaModel:
    net = load_backbone(architecture, REAL_WEIGHTS[architecture]).to(memory_format=torch.channels_last)
    model = DeltaModel(net)
    torch.manual_seed(seed)
    model.add_patch("task", num_classes=data.classes, config=DeltaConfig(n_modules=n))
    features = PrefixFeatures(model=model, store=MemoryStore(), device=CPU, dtype=dtype)
    recipe = real_recipes(options).delta[MAPS]
    train_patch(model, features, data.named("train"), recipe, make_fabric("cpu", "32-true"), seed=seed)
    return model


def _top1(model: DeltaModel, data: TaskData) -> float:
    return top1(predict(model, eval_batches(data.test, CPU)), data.test.labels)
