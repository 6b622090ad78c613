"""Table 5's runs: rates, views, every method on a tiny cell, the runner on a folder, the report."""

import copy
import itertools
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tiny import PREPROCESSING, RECIPE
from tiny_cell import tiny_cell
from tiny_transfer import ALL, TINY, lazy_cell
from torch import nn

from benchmarks.data.embedded import FINE_GRAINED_TASKS, autos, draw, planes
from benchmarks.env import Env
from benchmarks.suites.transfer import rates
from benchmarks.suites.transfer.data import PairedViews, as_they_are, load_rate
from benchmarks.suites.transfer.methods.base import Transfer, new_net
from benchmarks.suites.transfer.methods.listing import LABELS
from benchmarks.suites.transfer.table import TRANSFER_TASKS, table5, transfer_methods
from benchmarks.tables import runs_of
from benchmarks.worlds.open import open_world
from benchmarks.worlds.options import Options
from delta_core.training.data.splits import TensorSplit, split_in_epoch
from delta_core.training.engine import _order, parameter_groups, train_module
from delta_core.training.errors import UserError

CPU = torch.device("cpu")


# --- rates -------------------------------------------------------------------------------------------------------


@given(labels=st.lists(st.integers(0, 4), min_size=1, max_size=80))
def test_rates_are_nested_and_keep_the_rounded_share_of_every_class(labels: list[int]) -> None:
    found = rates.by_rule("birds", torch.tensor(labels))
    at = {percent: set(rates.places_at(found, percent).tolist()) for percent in rates.PERCENTS}
    assert at[15] <= at[30] <= at[50] <= at[100] == set(range(len(labels)))
    for percent, kept in at.items():
        for label, count in Counter(labels).items():
            assert sum(labels[place] == label for place in kept) == max(1, round(percent * count / 100))


def test_a_class_has_its_list_wherever_its_images_stand() -> None:
    together, mixed = torch.tensor([0] * 20 + [1] * 20), torch.tensor([0, 1] * 20)
    of_class = [
        [rate for rate, label in zip(rates.by_rule("birds", labels), labels.tolist(), strict=True) if label == 1]
        for labels in (together, mixed)
    ]
    assert of_class[0] == of_class[1]
    assert rates.by_rule("birds", mixed) != rates.by_rule("cats", mixed)


@pytest.mark.parametrize(("task", "sha"), [("planes", "be1f131f"), ("autos", "b03e78df")])
def test_committed_lists_follow_the_rule_and_have_their_hash(task: str, sha: str) -> None:
    labels = torch.arange(960) % 16
    found = rates.rate_list(task, labels)
    assert found == rates.by_rule(task, labels)
    assert (rates.LISTS / f"{task}.txt").read_bytes() == rates.to_text(found).encode()
    assert rates.list_sha(found) == sha


def test_a_committed_list_refuses_other_images() -> None:
    with pytest.raises(UserError, match="lists 960 images but planes has 3"):
        rates.rate_list("planes", torch.arange(3))


# --- data --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten training, five validation and two test images of each of two classes; pixels say which image it is."""
    root = tmp_path_factory.mktemp("data") / "birds"
    for part, (offset, count) in {"train": (0, 10), "val": (100, 5), "test": (200, 2)}.items():
        for label, number in itertools.product(("crow", "tit"), range(count)):
            path = root / part / label / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            shade = offset + 2 * number + (label == "tit")
            Image.fromarray(np.full((20, 20, 3), shade, np.uint8)).save(path)
    return root


def shades(split: object) -> list[int]:
    batch = torch.cat(list(split.batches(100, device=CPU)))  # type: ignore[attr-defined]
    mean, std = PREPROCESSING.mean[0], PREPROCESSING.std[0]
    return [round(value.item()) for value in (batch[:, 0].mean((1, 2)) * std + mean) * 255]


@pytest.mark.parametrize(("percent", "count"), [(15, 2), (30, 3), (50, 5), (100, 10)])
def test_a_rate_keeps_its_images_of_every_class(folder: Path, tmp_path: Path, percent: int, count: int) -> None:
    env = Env(results=tmp_path, cache=tmp_path, folders={"birds": folder})
    task = load_rate("birds", env, PREPROCESSING, percent=percent, min_crop_area=0.2, with_val=False)
    whole = load_rate("birds", env, PREPROCESSING, percent=100, min_crop_area=0.2, with_val=False)
    assert task.train.labels.bincount().tolist() == [count, count]
    assert set(shades(task.train)) <= set(shades(whole.train)), "the images move with their labels"
    assert [shade % 2 for shade in shades(task.train)] == task.train.labels.tolist()
    assert len(task.test.labels) == 4
    assert task.sha == whole.sha, "one list for all rates"


def test_pairs_are_two_views_of_the_same_image() -> None:
    split, order = lazy_cell().task.train, torch.tensor([3, 1, 2, 0, 4])
    pairs = torch.cat(
        list(split_in_epoch(PairedViews(splits=(split, split)), 0, 5).batches(2, device=CPU, order=order))
    )
    again = torch.cat(list(split_in_epoch(PairedViews(splits=(split, split)), 0, 5).batches(5, device=CPU)))
    assert torch.equal(pairs, again[order])
    assert pairs.shape == (5, 2, 3, 16, 16)
    assert not torch.equal(pairs[:, 0], pairs[:, 1])
    still = torch.cat(list(as_they_are(split).batches(5, device=CPU, order=order)))
    for view in pairs.unbind(1):
        assert torch.cdist(view.flatten(1), still.flatten(1)).argmin(1).tolist() == list(range(5))


@pytest.mark.parametrize(("module", "drawer"), [(planes, planes.draw_plane), (autos, autos.draw_auto)])
def test_every_drawn_class_differs_from_every_other(module, drawer) -> None:  # type: ignore[no-untyped-def]
    classes = len(module.CLASS_NAMES)
    pictures = [drawer(label, draw.generator("same", 1)) for label in range(classes)]
    assert {picture.shape for picture in pictures} == {(32, 32, 3)}
    assert len({picture.tobytes() for picture in pictures}) == classes == 16


# --- engine ------------------------------------------------------------------------------------------------------


@given(count=st.integers(1, 50), batch=st.integers(1, 50), steps=st.integers(1, 20))
def test_counted_steps_are_whole_batches_of_different_images(count: int, batch: int, steps: int) -> None:
    batch = min(batch, count)
    order = _order(count, batch, steps, torch.Generator().manual_seed(0))
    assert len(order) == steps * batch
    whole = count // batch * batch
    for start in range(0, len(order), whole):
        part = order[start : start + whole].tolist()
        assert len(set(part)) == len(part), "no image comes twice in a pass"


def test_steps_do_not_depend_on_the_amount_of_data() -> None:
    recipe = replace(RECIPE, epochs=2, steps_per_epoch=5, batch_size=8)
    cell = tiny_cell(base=False)
    for count in (9, 24):
        split = cell.task.train
        assert isinstance(split, TensorSplit)
        part = replace(split, inputs=split.inputs[:count], labels=split.labels[:count])
        net = new_net(cell, None)
        assert train_module(net, net.patch, part, recipe, cell.fabric, seed=0) == 10


@pytest.mark.parametrize("decay_all", [False, True])
def test_biases_and_norms_are_decayed_where_asked(decay_all: bool) -> None:
    net = new_net(tiny_cell(base=False), None)
    groups = parameter_groups(net, net.patch, replace(RECIPE, weight_decay=0.3, decay_all=decay_all))
    small = [g["weight_decay"] for g in groups for p in g["params"] if p.ndim == 1]  # type: ignore[attr-defined]
    assert set(small) == {0.3 if decay_all else 0.0}


# --- methods -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ALL, ids=lambda method: f"{method.name}:{method.variant}")
def test_every_method_trains_and_measures_last_and_oracle(method: Transfer) -> None:
    cell = lazy_cell()
    outcome = method.measure(cell)
    assert [(m.split, m.selection) for m in outcome.measurements] == [
        ("val", "last"),
        ("test", "last"),
        ("test", "oracle"),
    ]
    assert outcome.measurements[2].value >= outcome.measurements[1].value
    assert outcome.steps == 4
    assert outcome.base_logits_equal is None
    again = method.measure(lazy_cell())
    assert again.backbone_sha_after == outcome.backbone_sha_after, "the same bits from the same seeds"


def test_methods_differ_from_vanilla_and_from_each_other() -> None:
    shas = {f"{m.name}:{m.variant}": m.measure(lazy_cell()).backbone_sha_after for m in ALL}
    assert len(set(shas.values())) == len(ALL)


def test_head_and_modules_learn_fast_and_the_backbone_slowly() -> None:
    cell = lazy_cell()
    method = next(m for m in ALL if m.name == "bi_tuning+delta_networks")
    net = new_net(cell, method.config)
    method.prepare(net, cell)
    recipe = replace(method.recipe, lr=1.0, head_lr=10.0)
    rate = {id(p): g["lr"] for g in parameter_groups(net, net.patch, recipe) for p in g["params"]}  # type: ignore[attr-defined]
    assert {rate[id(p)] for p in net.patch.parameters()} == {10.0}, "modules, their norms, the head"
    assert {rate[id(p)] for p in net.backbone.layer1.parameters()} == {1.0}  # type: ignore[union-attr]
    assert {rate[id(p)] for p in net.projection.parameters()} == {1.0}  # type: ignore[union-attr]


def test_only_co_tuning_trains_the_source_head() -> None:
    for method in transfer_methods(TINY):
        cell = lazy_cell()
        net = new_net(cell, method.config)
        method.prepare(net, cell)
        assert net.backbone.fc.weight.requires_grad == (method.name == "co_tuning")  # type: ignore[union-attr]


def test_bi_tuning_starts_from_a_small_head() -> None:
    cell = lazy_cell()
    (method,) = (m for m in ALL if m.name == "bi_tuning")
    net = new_net(cell, None)
    method.prepare(net, cell)
    assert isinstance(net.head, nn.Linear)
    assert 0.005 < net.head.weight.std().item() < 0.015
    assert not net.head.bias.any()


def test_the_source_net_is_not_touched() -> None:
    cell = lazy_cell()
    source = cell.new_backbone()
    before = copy.deepcopy(source.state_dict())
    for method in ALL:
        method.measure(replace(cell, new_backbone=lambda: source))
    after = source.state_dict()
    assert [name for name, tensor in before.items() if not torch.equal(tensor, after[name])] == []


# --- runs --------------------------------------------------------------------------------------------------------


def test_table5_has_nine_methods_on_two_tasks_at_four_rates() -> None:
    options = Options(table="table5")
    runs = table5(open_world(options, TRANSFER_TASKS), 1)
    assert len(runs) == 104
    assert {run.task for run in runs} == set(FINE_GRAINED_TASKS)
    assert {run.architecture for run in runs} == {"resnet50"}
    assert list(dict.fromkeys(run.method.name for run in runs[:13])) == list(LABELS)
    deltas = [run.method for run in runs[:13] if run.method.n_delta_modules]
    assert [(method.n_delta_modules, method.variant) for method in deltas] == 2 * [(4, "maps"), (4, ""), (4, "paper")]
    assert len({run.run_id for run in runs}) == 104
    by_method = {name: [run for run in runs if run.method.name == name] for name in LABELS}
    assert len({(run.task, run.order_seed) for run in by_method["vanilla"]}) == 8
    assert {run.init_seed for run in by_method["vanilla"]} == {run.init_seed for run in by_method["lwf"]}


def test_table5_at_paper_scale_follows_the_scripts() -> None:
    world = open_world(Options(table="table5", scale="paper"), TRANSFER_TASKS)
    runs = table5(world, 1)
    assert {run.weights for run in runs} == {"timm:resnet50.tv_in1k"}
    assert {run.task for run in runs} == {"aircraft", "cars"}
    recipes = {run.method.name: run.method.recipe for run in runs if not run.method.variant}
    vanilla = recipes["vanilla"]
    assert (vanilla.epochs, vanilla.steps_per_epoch, vanilla.batch_size, vanilla.milestones) == (20, 500, 48, (0.6,))
    assert (vanilla.optimizer, vanilla.nesterov, vanilla.lr, vanilla.head_lr) == ("sgd", True, 1e-3, 1e-2)
    assert {name for name, recipe in recipes.items() if recipe.weight_decay == 0} == {"delta_regularizer"}
    assert {run.method.variant for run in runs} == {"", "maps", "paper", "lr=0.001", "calibrated"}
    assert {run.protocol for run in runs} == {
        f"px=224,crop=0.2,steps=20x500,train+val={percent}%" for percent in (15, 30, 50, 100)
    }


@pytest.mark.parametrize(
    ("change", "message"), [({"train_percent": (20,)}, "--train-percent 20"), ({"views": 1}, "--views is 1")]
)
def test_what_the_table_does_not_have_is_refused(change: dict[str, object], message: str) -> None:
    options = replace(Options(table="table5"), **change)
    with pytest.raises(UserError, match=message):
        runs_of(options, open_world(options, TRANSFER_TASKS))
