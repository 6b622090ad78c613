"""Features of the frozen prefix: the same numbers stored or computed anew, for one view and for several."""

from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lightning_fabric import Fabric
from tiny import NETS, PREPROCESSING, RECIPE, basic_block_net, images, tensor_split, tiny_task
from torch import Tensor, nn

from delta_core import DeltaConfig, DeltaModel
from delta_core.training import prefix_features as features_module
from delta_core.training.data.splits import (
    FeatureSplit,
    FixedViews,
    LazySplit,
    Split,
    TaskData,
    eval_batches,
    seen_in_views,
)
from delta_core.training.engine import predict, train_module
from delta_core.training.errors import UserError
from delta_core.training.identity import content_id
from delta_core.training.memory_store import MemoryStore
from delta_core.training.patch import train_patch
from delta_core.training.prefix_features import PrefixFeatures, PrefixSplit, bytes_of_features
from delta_core.training.recipe import FeatureDtype, Recipe
from delta_core.training.tensor_store import TensorStore

CPU = torch.device("cpu")
FABRIC = Fabric(accelerator="cpu", devices=1)
CONFIGS = [None, DeltaConfig(n_modules=1), DeltaConfig.paper(n_modules=2)]
Trained = tuple[Tensor, dict[str, Tensor]]


def everything(split: Split, batch_size: int = 5, order: Tensor | None = None) -> Tensor:
    return torch.cat(list(split.batches(batch_size, device=CPU, order=order)))


def viewed(views: int) -> TaskData:
    """The tiny task with K fixed views of its training images, which differ."""
    task = tiny_task()
    shifted = [replace(task.train, inputs=task.train.inputs.roll(view, dims=-1)) for view in range(views)]
    return replace(task, train=FixedViews(views=tuple(shifted)))


def train(
    net: Callable[[], nn.Module],
    config: DeltaConfig | None,
    recipe: Recipe,
    store: TensorStore,
    task: TaskData,
    seed: int = 2,
) -> Trained:
    """Train a patch; its logits on held-out and test images, and its trained state."""
    model = DeltaModel(net())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model.add_patch("task", num_classes=task.classes, config=config)
    features = PrefixFeatures(model=model, store=store, device=CPU, dtype=recipe.feature_dtype)
    train_patch(model, features, task.named("train"), recipe, FABRIC, seed=seed)
    suffix = model.split_at_first_patch()[1]
    logits = [predict(suffix, eval_batches(features.of(task.named(part)), CPU)) for part in ("val", "test")]
    return torch.cat(logits), model.patches.state_dict()


# --- exactness ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("net", "config", "views"),
    [
        *((net, config, 1) for net in NETS for config in CONFIGS),
        *(("basic_block", config, 3) for config in CONFIGS),
    ],
)
def test_the_trained_patch_is_bit_identical_with_and_without_the_store(
    net: str,
    config: DeltaConfig | None,
    views: int,
    tmp_path: Path,
) -> None:
    task = tiny_task() if views == 1 else viewed(views)
    recipe = replace(RECIPE, epochs=views, views=views, batch_size=10)  # 24 images: the last batch is not full
    store = TensorStore(root=tmp_path, limit_gb=1)
    computed, made, found = (
        train(NETS[net], config, recipe, each, task) for each in (TensorStore(root=tmp_path, limit_gb=0), store, store)
    )
    for logits, state in (made, found):
        assert torch.equal(logits, computed[0])
        assert state.keys() == computed[1].keys()
        assert [name for name in state if not torch.equal(state[name], computed[1][name])] == []
    assert len(list(tmp_path.rglob("features.bin"))) == views + 2, "training views, validation and test"


def test_seeds_and_arms_share_the_prefix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = TensorStore(root=tmp_path, limit_gb=1)
    train(basic_block_net, DeltaConfig(n_modules=1), RECIPE, store, tiny_task())
    before = set(tmp_path.rglob("*"))
    monkeypatch.setattr(DeltaModel, "prefix", lambda *_: pytest.fail("computed again"))
    for config in (DeltaConfig(n_modules=1), DeltaConfig.paper(n_modules=1)):
        train(basic_block_net, config, RECIPE, store, tiny_task(), seed=8)
    assert set(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("batch_size", [1, 7, 24, 50])
@pytest.mark.parametrize("net", NETS.values(), ids=NETS)
def test_features_depend_on_the_image_alone(
    net: Callable[[], nn.Module], batch_size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the batch and the order, and though kernels differ by the size of the batch."""
    model = DeltaModel(net())
    model.add_patch("task", num_classes=3)
    split = PrefixSplit(prefix=model.split_at_first_patch()[0], images=tensor_split(24, 3, seed=0))
    first = everything(split, 24)
    order = torch.randperm(24, generator=torch.Generator().manual_seed(0))
    for picked in (order, order[:3]):  # alone, three images would get other kernels
        assert torch.equal(everything(split, batch_size, picked), first[picked])
    assert next(map(len, split.batches(batch_size, device=CPU))) == min(batch_size, 24)
    monkeypatch.setattr(features_module, "prefix_batch_size", lambda *_: 16)
    assert torch.allclose(everything(split), first, rtol=1e-3, atol=1e-4)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 9), st.integers(1, 12), st.integers(1, 30))
def test_batches_have_the_size_that_was_asked_for(chunk: int, batch_size: int, count: int) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(features_module, "prefix_batch_size", lambda *_: chunk)
        split = PrefixSplit(prefix=nn.Flatten(), images=tensor_split(count, 2, seed=0, size=2))
        batches = list(split.batches(batch_size, device=CPU))
    assert [len(batch) for batch in batches] == [len(part) for part in torch.arange(count).split(batch_size)]
    assert torch.equal(torch.cat(batches), everything(split.images).flatten(1))


@pytest.mark.parametrize("net", NETS.values(), ids=NETS)
def test_behind_the_prefix_stands_the_whole_model(net: Callable[[], nn.Module]) -> None:
    model = DeltaModel(net())
    model.add_patch("task", num_classes=3, config=DeltaConfig.paper(n_modules=2))
    task = tiny_task()
    features = PrefixFeatures(model=model, store=MemoryStore(), device=CPU, dtype="float32").of(task.named("test"))
    logits = predict(model.split_at_first_patch()[1], eval_batches(features, CPU))
    assert torch.allclose(logits, predict(model, eval_batches(task.test, CPU)), rtol=1e-3, atol=1e-4)


# --- type of features --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "uint8"])
@pytest.mark.parametrize(("config", "shape"), [(None, (16,)), (DeltaConfig(n_modules=4), (8, 4, 4))])
def test_rounded_features_are_the_same_stored_or_not(
    config: DeltaConfig | None, shape: tuple[int, ...], dtype: FeatureDtype, tmp_path: Path
) -> None:
    recipe = replace(RECIPE, feature_dtype=dtype)
    states = [
        train(basic_block_net, config, each, store, tiny_task())[1]
        for each, store in (
            (recipe, TensorStore(root=tmp_path, limit_gb=0)),
            (recipe, TensorStore(root=tmp_path, limit_gb=1)),
            (recipe, MemoryStore()),
            (RECIPE, TensorStore(root=tmp_path, limit_gb=1)),
        )
    ]
    for stored in states[1:3]:
        assert all(torch.equal(states[0][name], stored[name]) for name in stored)
    assert not all(torch.equal(states[0][name], states[3][name]) for name in states[0])
    sizes = sorted(path.stat().st_size for path in tmp_path.rglob("features.bin"))
    kept: tuple[FeatureDtype, ...] = (dtype, "float32")
    assert sizes == sorted(n * bytes_of_features(shape, each) for n in (24, 9, 12) for each in kept)


def test_numbers_too_large_for_half_precision_are_told() -> None:
    class Large(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return 1e5 * x.mean((2, 3)).abs() + 7e4

    split = PrefixSplit(prefix=Large(), images=tensor_split(4, 2, seed=0), dtype="float16")
    with pytest.raises(UserError, match=r"too large for float16; choose the feature dtype bfloat16"):
        everything(split)
    assert torch.isfinite(everything(replace(split, dtype="bfloat16"))).all()


# --- address -----------------------------------------------------------------------------------------------------


def address(tmp_path: Path, **changes: object) -> set[str]:
    """Stores after measuring features of a test split, one thing changed."""
    net = changes.get("net", basic_block_net())
    model = DeltaModel(net)
    model.add_patch("task", num_classes=3, config=changes.get("config"))
    task = changes.get("task", tiny_task())
    store = TensorStore(root=tmp_path, limit_gb=1)
    source = PrefixFeatures(model=model, store=store, device=CPU, dtype=changes.get("dtype", "float32"))
    assert isinstance(source.of(task.named(changes.get("split", "test"))), FeatureSplit)
    return {str(path.parent.relative_to(tmp_path)) for path in tmp_path.rglob("features.bin")}


def test_whatever_changes_the_numbers_changes_the_address(tmp_path: Path) -> None:
    other_net = basic_block_net()
    other_net.layer4[1].bn2.bias.data[0] += 1e-6
    task = tiny_task()
    resized = replace(PREPROCESSING, mean=(0.5, 0.4, 0.3 + 1e-7))
    variants = [
        {},
        {"net": other_net},
        {"config": DeltaConfig(n_modules=1)},
        {"config": DeltaConfig(n_modules=2)},
        {"task": replace(task, sha="other")},
        {"task": replace(task, name="other")},
        {"task": replace(task, test=replace(task.test, preprocessing=resized))},
        {"dtype": "bfloat16"},
        {"split": "val"},
    ]
    for count, variant in enumerate(variants, start=1):
        assert len(address(tmp_path, **variant)) == count, variant
    again = [{"config": DeltaConfig.paper(n_modules=2)}, {"net": basic_block_net()}]  # the patch itself does not count
    for variant in again:
        assert len(address(tmp_path, **variant)) == len(variants), variant


def test_every_field_of_the_key_counts() -> None:
    key = features_module.FeatureKey(
        backbone="b", ends_at="pooled", data_sha="d", split="test", view=None, preprocessing=PREPROCESSING,
        dtype="float32", batch_size=64, device="cpu",
    )  # fmt: skip
    assert {field.name for field in fields(key)} >= {"torch", "timm", "device", "batch_size", "view"}
    changed = [replace(key, **{field.name: "other"}) for field in fields(key)]
    assert len({content_id(each) for each in (key, *changed)}) == len(changed) + 1


# --- views -------------------------------------------------------------------------------------------------------


class Pictures(torch.utils.data.Dataset[tuple[Tensor]]):
    def __init__(self, count: int = 6) -> None:
        self.pictures = (images(count, size=20) * 60 + 120).clamp(0, 255).to(torch.uint8)

    def __getitem__(self, index: int) -> tuple[Tensor]:
        return (self.pictures[index],)

    def __len__(self) -> int:
        return len(self.pictures)


def views_of(views: int, *, in_memory: bool = True, task: str = "signs") -> Split:
    lazy = LazySplit(
        images=Pictures(), labels=torch.arange(6) % 2, transform=PREPROCESSING.resize_and_crop(),
        preprocessing=PREPROCESSING,
    )  # fmt: skip
    return seen_in_views(lazy, views, task=task, keep=LazySplit.in_memory if in_memory else lambda images: images)


def test_fixed_views_depend_on_task_image_and_number_alone() -> None:
    split, lazy, longer = views_of(3), views_of(3, in_memory=False), views_of(5)
    assert isinstance(split, FixedViews)
    seen = [everything(view) for view in split.views]
    torch.rand(3)  # the default generator must not matter
    order = torch.tensor([4, 0, 5])
    for view, expected in zip(lazy.views, seen, strict=True):
        assert isinstance(view, LazySplit)
        assert torch.equal(everything(view, 2, order), expected[order])
    assert all(torch.equal(everything(view), expected) for view, expected in zip(longer.views, seen, strict=False))
    several = [
        *seen,
        everything(views_of(1)),
        everything(views_of(1, task="cars")),
        everything(views_of(2, task="cars")),
    ]
    assert len({each.numpy().tobytes() for each in several}) == 5, "one centre crop, all else differs"
    same_image = replace(lazy.views[0], images=[(Pictures()[0][0],)] * 6)
    assert len({each.numpy().tobytes() for each in everything(same_image)}) == 6


def test_fresh_views_differ_at_every_pass() -> None:
    split = views_of(0)
    assert isinstance(split, LazySplit)
    assert not torch.equal(everything(split), everything(split))


def test_epoch_e_trains_on_view_e_mod_k() -> None:
    read: list[int] = []

    class Noted(FeatureSplit):
        def batches(self, batch_size: int, *, device: torch.device, order: Tensor | None = None):
            read.append(int(self.inputs[0, 0]))
            return super().batches(batch_size, device=device, order=order)

    views = tuple(
        Noted(inputs=torch.full((8, 5), float(number)), labels=torch.arange(8) % 2, preprocessing=PREPROCESSING)
        for number in range(3)
    )
    net = nn.Linear(5, 2)
    train_module(net, net, FixedViews(views=views), replace(RECIPE, epochs=7), FABRIC, seed=1)
    assert read == [0, 1, 2, 0, 1, 2, 0]
