"""Several tasks: together under one head, or one after the other."""

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny import RECIPE, basic_block_net, images, tensor_split
from tiny_cell import tiny_cell
from tiny_sequence import TASKS, sequence

from benchmarks.data.embedded import CLASS_NAMES
from benchmarks.data.groups import check_group, members
from benchmarks.data.joint import joint_task
from benchmarks.methods.paint import ALPHAS, Paint, interpolate_
from benchmarks.suites.sequence.runner import score, walk
from benchmarks.suites.sequence.spec import SequenceSpec
from benchmarks.tables import runs_of, table_of
from benchmarks.worlds.open import open_world
from benchmarks.worlds.options import Options
from delta_core import DeltaConfig, DeltaModel, backbone_fingerprint
from delta_core.families import base_head, feature_size
from delta_core.training.data.splits import FixedViews, LazySplit, TaskData, TensorSplit
from delta_core.training.engine import predict, train_module
from delta_core.training.errors import UserError

CPU = torch.device("cpu")


# --- Delta: nothing is forgotten -----------------------------------------------------------------------------------


def test_learning_a_task_leaves_base_and_earlier_tasks_bit_identical() -> None:
    model = DeltaModel(basic_block_net())
    x = images(size=16)
    fabric = tiny_cell().fabric

    def answers() -> dict[str, torch.Tensor]:
        found = {}
        for name in [None, *model.patches]:
            model.set_patch(name)
            found[str(name)] = predict(model, [x])
        return found

    before = answers()
    for number, task in enumerate(TASKS):
        model.add_patch(task.name, num_classes=task.classes, config=DeltaConfig.paper(n_modules=2))
        untrained = predict(model, [x])
        train_module(model, model.patch().head, task.train, RECIPE, fabric, seed=number)
        assert not torch.equal(predict(model, [x]), untrained), "the new task was not learned"
        now = answers()
        assert set(before) < set(now)
        assert all(torch.equal(before[name], now[name]) for name in before)
        before = now
    assert set(before) == {"None", "a", "b", "c"}


def test_one_loss_trains_modules_norms_and_head_together() -> None:
    model = DeltaModel(basic_block_net())
    model.add_patch("a", num_classes=3, config=DeltaConfig.paper(n_modules=2))
    start = {name: parameter.clone() for name, parameter in model.patch().named_parameters()}
    train_module(model, model.patch().head, TASKS[0].train, RECIPE, tiny_cell().fabric, seed=0)
    assert [name for name, parameter in model.patch().named_parameters() if torch.equal(parameter, start[name])] == []
    assert {name.split(".")[0] for name in start} == {"blocks", "head"}


# --- PAINT walks on --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def walked() -> list:
    cell = tiny_cell()
    return list(walk(sequence(), cell, cell.new_backbone(), TASKS).measurements)


def test_a_walk_keeps_all_alphas_of_the_last_step_and_the_chosen_one_of_each_before(walked: list) -> None:
    arm = "lr=0.01,mean"
    last = [(m.column, m.split, m.alpha) for m in walked if m.variant == arm and m.phase == "after"]
    columns = ("glyphs62", "a", "b", "c")
    assert set(last) == {(c, s, alpha) for c in columns for s in ("val", "test") for alpha in ALPHAS}
    assert len(last) == len(set(last))
    for step, known in ((1, columns[:2]), (2, columns[:3])):
        at_step = [m for m in walked if m.variant == f"{arm},after={step}"]
        assert [m.column for m in at_step] == list(known)
        assert len({m.alpha for m in at_step}) == 1
    assert len({m.variant for m in walked if "after=3" in m.variant}) == 0
    assert [(m.column, m.split) for m in walked if m.phase == "before"] == [("glyphs62", "test")]


def test_a_walk_counts_what_it_trains_as_a_single_task_does_and_every_head_apart() -> None:
    """The base's own head is trained in neither, so no table counts it among the parameters."""
    cell = tiny_cell()
    walked = walk(sequence(), cell, cell.new_backbone(), TASKS[:2])
    single = Paint(recipe=RECIPE).measure(replace(cell, task=TASKS[0]))
    net = cell.new_backbone()
    in_head = sum(parameter.numel() for parameter in base_head(net).parameters())
    assert in_head > 0
    assert walked.params_delta == single.params_delta == sum(p.numel() for p in net.parameters()) - in_head
    features = feature_size(net)
    assert walked.params_head == sum((features + 1) * task.classes for task in TASKS[:2])


def test_the_last_step_starts_where_the_one_before_ended(walked: list) -> None:
    """Alpha = 0 of the last step is the net after step two: its accuracies on what was known are the same."""
    end = {m.column: m.value for m in walked if m.variant == "lr=0.01,mean,after=2"}
    start = {m.column: m.value for m in walked if m.variant == "lr=0.01,mean" and m.alpha == 0 and m.split == "test"}
    assert end.items() <= start.items()


def test_a_walk_interpolates_between_before_and_after_its_last_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """The start of step t + 1 is the interpolated net of step t, at the alpha with the best score on val."""
    from benchmarks.suites.sequence import runner as sequences

    starts, chosen = [], []
    train = sequences.train_all

    def remember(cell, recipe, stage):
        starts.append(backbone_fingerprint(cell.new_backbone()))
        return train(cell, recipe, stage)

    def measure(cell, net, _, split, *, variant, alpha):
        if "after=" in variant:
            chosen.append((alpha, backbone_fingerprint(net)))
        # Alpha 0.3 looks best at every step.
        return [_measurement(cell, 90.0 if alpha == 0.3 else 50.0, split, variant, alpha)]

    monkeypatch.setattr(sequences, "train_all", remember)
    monkeypatch.setattr(sequences, "_measure", measure)
    cell = tiny_cell()
    walk(sequence(), cell, cell.new_backbone(), TASKS)
    assert [alpha for alpha, _ in chosen] == [0.3, 0.3]
    assert starts[1:] == [sha for _, sha in chosen]
    assert len(set(starts)) == 3


def _measurement(cell, value: float, split: str, variant: str, alpha: float):
    from benchmarks.methods.base import Measurement

    return Measurement(column=cell.task.name, split=split, value=value, n_examples=1, variant=variant, alpha=alpha)


@given(st.lists(st.floats(0.1, 100), min_size=2, max_size=5))
def test_scores_lie_between_the_worst_and_the_best_and_the_harmonic_is_lower(accuracies: list[float]) -> None:
    mean, harmonic = score("mean", accuracies), score("harmonic_mean", accuracies)
    assert min(accuracies) - 1e-9 <= harmonic <= mean + 1e-9 <= max(accuracies) + 2e-9
    assert score("harmonic_mean", [0.0, *accuracies]) == 0


@pytest.mark.parametrize("alpha", [-0.1, 1.2, float("nan")])
def test_alpha_outside_zero_to_one_is_refused(alpha: float) -> None:
    state = basic_block_net().state_dict()
    with pytest.raises(UserError, match=r"alpha is .*; give a number from 0 \(base weights\) to 1"):
        interpolate_(basic_block_net(), state, state, alpha)


# --- joint tasks -----------------------------------------------------------------------------------------------------


def test_a_joint_task_holds_all_images_and_shifts_labels() -> None:
    joint = joint_task(TASKS)
    assert (joint.name, joint.classes) == ("a+b+c", 3 + 4 + 2)
    for split in ("train", "val", "test"):
        parts = [getattr(task, split) for task in TASKS]
        found = getattr(joint, split)
        shifts = (0, 3, 7)
        assert torch.equal(found.labels, torch.cat([p.labels + s for p, s in zip(parts, shifts, strict=True)]))
        batches = torch.cat(list(found.batches(5, device=CPU)))
        assert torch.equal(batches, torch.cat([x for part in parts for x in part.batches(64, device=CPU)]))
    assert joint.sha != joint_task(TASKS[::-1]).sha


def test_images_on_disk_and_in_memory_may_be_joined() -> None:
    memory = tensor_split(6, 3, seed=0)
    lazy = LazySplit(
        images=[(image,) for image in memory.inputs],  # type: ignore[arg-type]
        labels=memory.labels,
        transform=torch.nn.Identity(),  # type: ignore[arg-type]
        preprocessing=memory.preprocessing,
    )
    mixed = joint_task([task_of(lazy), task_of(memory)])
    kept = joint_task([task_of(memory), task_of(memory)])
    assert isinstance(mixed.train, LazySplit) and isinstance(kept.train, TensorSplit)
    order = torch.tensor([11, 0, 7, 3])
    for found, expected in zip(*(t.train.batches(3, device=CPU, order=order) for t in (mixed, kept)), strict=True):
        assert torch.equal(found, expected)


def test_fixed_views_are_joined_view_by_view() -> None:
    views = FixedViews(views=(tensor_split(6, 3, seed=0), tensor_split(6, 3, seed=1)))
    joint = joint_task([task_of(views), task_of(views)]).train
    assert isinstance(joint, FixedViews) and len(joint.views) == 2
    assert torch.equal(joint.views[1].inputs[6:], views.views[1].inputs)  # type: ignore[attr-defined]


def task_of(split) -> TaskData:
    return TaskData(name="a", classes=3, sha="1", train=split, val=tensor_split(3, 3, 5), test=tensor_split(3, 3, 6))


# --- what a user may ask for -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "task", "problem"),
    [
        ("table4", "signs+photos+signs", "names signs twice"),
        ("table3", "signs+signs", "names signs twice"),
        ("table3", "mnist5k+optdigits", "mnist5k and optdigits both have a class '0'"),
        ("table4", "signs", "is one task, and a sequence table needs two or more"),
        ("table3", "signs+nothing", "--task nothing is not known"),
        ("table2", "signs+photos", "--task signs\\+photos is not known"),
    ],
)
def test_groups_that_cannot_be_measured_are_refused(table: str, task: str, problem: str) -> None:
    with pytest.raises(UserError, match=problem) as refused:
        open_world(Options(table=table, task=(task,)), table_of(table).tasks)
    assert str(refused.value).count(". ") == 0, "one sentence"


def test_a_sequence_may_share_class_names() -> None:
    check_group("mnist5k+optdigits", "sequence", CLASS_NAMES.__getitem__)


def test_runs_of_the_tables_share_what_they_can(tmp_path: Path) -> None:
    def ids(table: str, **options: object) -> dict[str, object]:
        chosen = Options(table=table, results=tmp_path, cache=tmp_path, **options)  # type: ignore[arg-type]
        return {run.run_id: run for run in runs_of(chosen, open_world(chosen, table_of(table).tasks))}

    tables = {number: ids(f"table{number}") for number in (1, 2, 3, 4, 11)}
    assert tables[4].keys() == tables[11].keys()
    assert len(tables[1].keys() & tables[2].keys()) == 6 * (1 + 2 + 1 + 1), "FC, PAINT twice, Delta (4) twice"
    deltas = [run for run in tables[4].values() if not isinstance(run, SequenceSpec)]
    assert {run.run_id for run in deltas} <= tables[2].keys()
    assert {name for run in tables[4].values() for name in run.data_names} == {
        *("glyphs62", "textures", "photos", "shapes", "signs", "mnist5k")
    }
    assert all(len(members(run.task)) == 3 for run in tables[3].values())
    joined = ids("table2", method=("lora",), arch=("resnet18",))
    assert len(joined) == 6 and joined.keys() <= tables[1].keys(), "a method joins a table by name"


def test_batchnorm_adapt_is_not_planned_where_there_is_no_batch_norm(tmp_path: Path) -> None:
    chosen = Options(table="table2", results=tmp_path, cache=tmp_path, method=("batchnorm_adapt",))
    nets = {run.architecture for run in runs_of(chosen, open_world(chosen, table_of("table2").tasks))}
    assert nets == {"resnet18", "resnet34", "resnet50"}


def test_a_walk_is_the_same_twice() -> None:
    spec, cell = sequence(), tiny_cell()
    first, second = (walk(spec, cell, copy.deepcopy(cell.new_backbone()), TASKS[:2]).measurements for _ in range(2))
    assert first == second
