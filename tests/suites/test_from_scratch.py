"""Tables 12 and 13 at scale paper: recipes and augmentation of the cited code; what is recorded stays as it was."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny import PREPROCESSING, RECIPE
from tiny_cell import tiny_cell

from benchmarks.data.images import ArrayImages
from benchmarks.methods import scratch
from benchmarks.methods.scratch import Scratch
from benchmarks.suites.patching.spec import RunSpec
from benchmarks.tables import TABLES, runs_of
from benchmarks.worlds.open import open_world
from benchmarks.worlds.options import Options
from delta_core.training.data.splits import LazySplit
from delta_core.training.identity import canonical_json


def runs(table: str, folder: Path, **options: object) -> list[RunSpec]:
    chosen = Options(table=table, results=folder / "results", cache=folder / "cache", **options)
    return runs_of(chosen, open_world(chosen, TABLES[table].tasks))


def from_scratch(folder: Path, table: str, **options: object) -> dict[str, RunSpec]:
    """Task -> its run on the plain net, where both ways agree in everything that they share."""
    found = [run for run in runs(table, folder, scale="paper", **options) if run.architecture == "resnet18"]
    for task in {run.task for run in found}:
        plain, delta = (run.method for run in found if run.task == task)
        assert (plain.recipe, plain.augmentation) == (delta.recipe, delta.augmentation)
    return {run.task: run for run in found if run.method.name == "standard"}


def test_from_scratch_at_paper_scale_trains_as_the_cited_code_does(tmp_path: Path) -> None:
    found = from_scratch(tmp_path, "table12") | from_scratch(tmp_path, "table13")
    assert set(found) == {"aircraft", "cars", "cifar10", "cifar100", "imagenet"}
    for task, run in found.items():
        recipe, small = run.method.recipe, task.startswith("cifar")
        assert (recipe.optimizer, recipe.lr, recipe.head_lr, recipe.decay_all) == ("sgd", 0.1, 0.1, True)
        assert (recipe.clip_norm, recipe.warmup_steps, recipe.views) == (None, 0, 0), "nothing inherited from PAINT"
        assert run.image_size == (32 if small else 224)
        assert run.method.augmentation == ("pad_crop_flip" if small else "resized_crop_flip")
        assert recipe.milestones == (() if small else (1 / 3, 2 / 3))
        assert (recipe.weight_decay, recipe.batch_size) == ((5e-4, 128) if small else (1e-4, 256))
        assert recipe.epochs == (50 if task == "imagenet" else 200)


def test_from_scratch_options_of_the_user_come_first(tmp_path: Path) -> None:
    run = from_scratch(tmp_path, "table13", views=2, image_size=64)["cifar10"]
    assert (run.image_size, run.method.recipe.views, run.method.augmentation) == (64, 2, None)


def test_from_scratch_elsewhere_is_as_recorded(tmp_path: Path) -> None:
    for run in runs("table12", tmp_path) + runs("table13", tmp_path):
        assert run.method.augmentation is None
        assert run.method.recipe.clip_norm == 1.0
        assert "augmentation" not in canonical_json(run)


def test_scratch_trains_on_fresh_augmented_views_and_measures_images_as_they_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cell, seen = tiny_cell(base=False), []
    images = ArrayImages(np.full((24, 16, 16, 3), 255, np.uint8))
    lazy = LazySplit(
        images=images, labels=cell.task.train.labels, transform=PREPROCESSING.random_view(), preprocessing=PREPROCESSING
    )
    cell = replace(cell, task=replace(cell.task, train=lazy))
    training = scratch.train_module

    def remembered(*given: Any, **more: Any) -> int:
        seen.append(given[2])
        return training(*given, **more)

    monkeypatch.setattr(scratch, "train_module", remembered)
    Scratch(recipe=RECIPE, augmentation="pad_crop_flip").measure(cell)
    views = torch.cat(list(seen[0].batches(24, device=torch.device("cpu"))))
    border = PREPROCESSING.normalise(torch.zeros(1, 3, 1, 1, dtype=torch.uint8))
    assert (views == border).all(1).any(), "some crops show the black border"
    Scratch(recipe=RECIPE).measure(cell)
    assert seen[1] is lazy
