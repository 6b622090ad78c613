"""The noise runner: one NoiseSpec in, its rows out."""

import copy
from dataclasses import replace

import torch
from benchmarks.suites.noise.spec import NoiseSpec

from benchmarks.data.load import load_task
from benchmarks.env import Env
from benchmarks.methods.base import Cell
from benchmarks.nets.open import preprocessings
from benchmarks.records.rows import Row
from benchmarks.suites.opened import open_run
from delta_core.training.data.splits import FeatureSplit, TaskData, eval_batches
from delta_core.training.identity import derive_seed
from delta_core.training.tensor_store import TensorStore


def execute(spec: NoiseSpec, env: Env) -> list[Row]:
    """Measure one cell: open net and data, make the test images noisy, run the method, return rows."""
    opened = open_run(spec, env)
    at_task, _ = preprocessings(spec.scale, spec.image_size, opened.backbone)
    task = load_task(spec.task, env, at_task, views=spec.method.recipe.views)
    if spec.noise_sd:
        task = with_noisy_test(task, spec.noise_sd, seed=derive_seed("noise", spec.task, spec.seed))
    cell = Cell(
        architecture=spec.architecture,
        new_backbone=lambda: copy.deepcopy(opened.backbone),
        task=task,
        base=None,
        base_logits=None,
        store=TensorStore(root=env.cache / "features", limit_gb=env.cache_gb),
        fabric=opened.fabric,
        order_seed=spec.order_seed,
        init_seed=spec.init_seed,
    )
    return opened.rows(spec.method.measure(cell), data_sha=task.sha, preprocessing=at_task)


def with_noisy_test(task: TaskData, noise_sd: float, *, seed: int) -> TaskData:
    """The same task with Gaussian noise on its test images.

    Its identity says so: features of frozen nets are stored under it, and those of clean images are others.
    """
    clean = torch.cat([batch.cpu() for batch in eval_batches(task.test, torch.device("cpu"))])
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(seed))
    noisy = FeatureSplit(
        inputs=clean + noise_sd * noise, labels=task.test.labels, preprocessing=task.test.preprocessing
    )
    return replace(task, test=noisy, sha=f"{task.sha}-noise{noise_sd:g}-{seed}")
