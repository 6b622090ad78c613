"""What is left of a base without labels: agreement with the untouched net, by the way that accuracy takes."""

from dataclasses import replace

import pytest
import torch
from lightning_fabric import Fabric
from tiny import RECIPE, basic_block_net, tiny_task
from tiny_cell import tiny_cell
from torch import nn

from benchmarks.methods.base import Cell, Measurement
from benchmarks.methods.fc_only import FcOnly
from benchmarks.methods.finetune import FineTune
from benchmarks.methods.paint import Paint
from benchmarks.methods.paint_on_base import PaintOnBase
from benchmarks.nets.untouched import Untouched, base_logits
from benchmarks.records.names import BASE_AGREEMENT, UNLABELLED
from benchmarks.suites.sequence.runner import walk
from benchmarks.suites.sequence.spec import SequenceSpec
from delta_core import backbone_fingerprint
from delta_core.families import base_head
from delta_core.training.data.splits import TaskData, eval_batches
from delta_core.training.engine import predict


def unlabelled() -> TaskData:
    task = tiny_task(f"{UNLABELLED}walks", classes=7, seed=10)
    blank = {part: replace(getattr(task, part), labels=torch.full_like(getattr(task, part).labels, -1))
             for part in ("train", "val", "test")}  # fmt: skip
    return replace(task, **blank)


FABRIC = Fabric(accelerator="cpu", devices=1)


def telling_net() -> nn.Module:
    """A tiny net that answers differently on different noise: its logits are centred on what it sees."""
    net = basic_block_net().eval()
    with torch.no_grad():
        logits = predict(net, eval_batches(tiny_task("glyphs62", classes=7, seed=10).test, torch.device("cpu")))
        base_head(net).bias -= logits.mean(0)
    return net


def untouched(base: TaskData) -> Untouched:
    net = telling_net()
    return Untouched(
        sha=backbone_fingerprint(net),
        data_sha=base.sha,
        device=FABRIC.device,
        fabric=FABRIC,
        backbone=net,
        base=base,
    )


def agreeing_cell() -> Cell:
    pristine = untouched(unlabelled())
    return replace(tiny_cell(telling_net), base=pristine.base_with_labels(), base_logits=base_logits(pristine, "test"))


def on_base(measurements: tuple[Measurement, ...]) -> list[Measurement]:
    return [found for found in measurements if found.column.startswith(UNLABELLED)]


def test_a_labelled_base_keeps_its_labels() -> None:
    base = tiny_task("glyphs62", classes=7, seed=10)
    assert untouched(base).base_with_labels() is base


def test_labels_are_the_answers_of_the_untouched_net_on_both_splits() -> None:
    pristine = untouched(unlabelled())
    base = pristine.base_with_labels()
    for part in ("val", "test"):
        assert torch.equal(getattr(base, part).labels, base_logits(pristine, part).argmax(1))
    assert len(base.test.labels.unique()) > 2, "a net that always says the same would prove nothing"


def test_a_frozen_base_agrees_with_itself_entirely() -> None:
    outcome = FcOnly(recipe=RECIPE).measure(agreeing_cell())
    assert outcome.base_logits_equal
    found = on_base(outcome.measurements)
    assert [(one.phase, one.metric, one.value) for one in found] == [
        ("before", BASE_AGREEMENT, 100.0), ("after", BASE_AGREEMENT, 100.0),
    ]  # fmt: skip
    assert {one.metric for one in outcome.measurements if one not in found} == {"top1"}


@pytest.mark.parametrize("method", [FineTune(recipe=replace(RECIPE, lr=0.3)), Paint(recipe=replace(RECIPE, lr=0.3))])
def test_a_base_that_was_trained_on_loses_agreement(method: FineTune | Paint) -> None:
    found = on_base(method.measure(agreeing_cell()).measurements)
    assert {one.metric for one in found} == {BASE_AGREEMENT}
    untouched_ones = [one for one in found if one.alpha == 0 and "+bn" not in one.variant]
    assert all(one.value == 100 for one in untouched_ones), "at alpha = 0 it is the untouched net"
    (last,) = [one for one in found if one.alpha in (None, 1) and one.split == "test" and one.phase == "after"
               and "+bn" not in one.variant]  # fmt: skip
    assert last.value < 100


def test_a_sequence_measures_agreement_too() -> None:
    spec = SequenceSpec(
        scale="local", architecture="tiny", weights="none", task="signs+shapes", data="a+b", base_task="b",
        base_data="c", method=Paint(recipe=RECIPE), rule="mean", image_size=16, seed=0,
    )  # fmt: skip
    cell = agreeing_cell()
    outcome = walk(spec, cell, cell.new_backbone(), [tiny_task(), tiny_task("shapes", seed=5)])
    assert {one.metric for one in on_base(outcome.measurements)} == {BASE_AGREEMENT}
    assert on_base(outcome.measurements)[0].value == 100


def test_the_study_measures_accuracy_and_agreement_of_the_same_nets() -> None:
    outcome = PaintOnBase(recipe=replace(RECIPE, lr=0.3)).measure(tiny_cell(telling_net))
    base = [one for one in outcome.measurements if one.column == "glyphs62" and one.phase == "after"]
    accuracy = {one.alpha: one.value for one in base if one.metric == "top1"}
    agreement = {one.alpha: one.value for one in base if one.metric == BASE_AGREEMENT}
    assert len(accuracy) == len(agreement) == 11
    (before,) = [one.value for one in outcome.measurements if one.phase == "before"]
    assert (accuracy[0.0], agreement[0.0]) == (before, 100.0)
    assert agreement[1.0] < 100
    # The same training as PAINT's own, so that what is found holds for its rows.
    painted = Paint(recipe=replace(RECIPE, lr=0.3)).measure(tiny_cell(telling_net)).measurements
    theirs = {one.alpha: one.value for one in painted if one.column == "glyphs62" and one.split == "test"
              and one.phase == "after" and "+bn" not in one.variant}  # fmt: skip
    assert accuracy == theirs
