"""Views of the benchmarks' own tasks, and that every method trains on them."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import PREPROCESSING, RECIPE, tiny_task
from tiny_cell import tiny_cell
from torch import Tensor, nn

from benchmarks.data import load
from benchmarks.data.images import ImageSplit, ImageTask
from benchmarks.data.load import load_task
from benchmarks.env import Env
from benchmarks.methods.delta import DeltaNetworks
from benchmarks.methods.fc_only import FcOnly
from benchmarks.methods.finetune import FineTune
from benchmarks.methods.paint import Paint
from delta_core import DeltaConfig
from delta_core.training.data.splits import FixedViews, Split, TaskData

CPU = torch.device("cpu")


def everything(split: Split) -> Tensor:
    return torch.cat(list(split.batches(5, device=CPU)))


def viewed(views: int) -> TaskData:
    """The tiny task with K fixed views of its training images, which differ."""
    task = tiny_task()
    shifted = [replace(task.train, inputs=task.train.inputs.roll(view, dims=-1)) for view in range(views)]
    return replace(task, train=FixedViews(views=tuple(shifted)))


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Noise in place of every embedded task."""

    def split(count: int) -> ImageSplit:
        pixels = np.random.default_rng(count).integers(0, 256, (count, 16, 16, 3), dtype=np.uint8)
        return ImageSplit(images=pixels, labels=np.arange(count) % 2)

    def noise(name: str, **_: object) -> ImageTask:
        return ImageTask(name=name, class_names=("a", "b"), train=split(8), val=split(4), test=split(6), source="noise")

    monkeypatch.setattr(load, "load_embedded", noise)
    load._embedded.cache_clear()
    yield
    load._embedded.cache_clear()


@pytest.mark.usefixtures("drawn")
def test_embedded_tasks_have_views_too(tmp_path: Path) -> None:
    env = Env(results=tmp_path, cache=tmp_path)
    one, several, fresh = (load_task("signs", env, PREPROCESSING, views=views) for views in (1, 3, 0))
    assert isinstance(several.train, FixedViews)
    assert [everything(view).shape for view in several.train.views] == [(8, 3, 16, 16)] * 3
    assert len({everything(view).numpy().tobytes() for view in (one.train, *several.train.views)}) == 4
    assert not torch.equal(everything(fresh.train), everything(fresh.train))
    closest = torch.cdist(everything(several.train).flatten(1), everything(one.train).flatten(1)).argmin(1)
    assert closest.tolist() == list(range(8)), "a crop of nine tenths is still its image"
    for task in (several, fresh):
        assert torch.equal(task.train.labels, one.train.labels)
        assert torch.equal(everything(task.test), everything(one.test))


@pytest.mark.parametrize("method", [FcOnly, FineTune, Paint, DeltaNetworks])
def test_every_method_sees_the_same_views(method: type) -> None:
    """A view that no epoch reaches changes nothing; one that an epoch reads does."""
    options = {"config": DeltaConfig(n_modules=1), "reading": "maps"} if method is DeltaNetworks else {}
    recipe = replace(RECIPE, epochs=2, views=3)
    task = viewed(3)

    def measured(changed: int | None) -> object:
        views = list(task.train.views)
        if changed is not None:
            views[changed] = replace(views[changed], inputs=255 - views[changed].inputs)
        cell = tiny_cell(task=replace(task, train=FixedViews(views=tuple(views))), base=False)
        seen = []
        original = nn.functional.cross_entropy
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(
                nn.functional,
                "cross_entropy",
                lambda logits, target: seen.append(original(logits, target)) or seen[-1],
            )
            method(recipe=recipe, **options).measure(cell)
        return torch.stack(seen).tolist()

    before = measured(None)
    assert measured(2) == before
    assert measured(0)[:3] != before[:3]
    assert measured(1)[:3] == before[:3]
    assert measured(1)[3:] != before[3:]
