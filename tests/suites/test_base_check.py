"""Whether the base is the paper's: what is pinned, what is measured, and the proof that is kept once."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn

from benchmarks.env import Env
from benchmarks.methods.fc_only import FcOnly
from benchmarks.methods.paint import Paint
from benchmarks.nets import base_check
from benchmarks.nets.base_check import BASE_TOP1, TIMM_TOP1, confirm_base, proof_path, prove_base
from benchmarks.records.names import TABLE1_WEIGHTS
from benchmarks.spec import Run
from benchmarks.suites import execute as runners
from benchmarks.suites import opened
from benchmarks.suites.patching import runner as patching
from benchmarks.suites.patching.spec import RunSpec
from benchmarks.suites.sequence import runner as sequences
from benchmarks.suites.sequence.spec import SequenceSpec
from benchmarks.suites.transfer.table import PAPER_WEIGHTS as TABLE5_WEIGHTS
from benchmarks.worlds.paper import PAPER_WEIGHTS
from delta_core.training.data.splits import TaskData, TensorSplit
from delta_core.training.errors import UserError
from delta_core.training.recipe import Recipe
from delta_core.weights import Preprocessing

RECIPE = Recipe(epochs=1, lr=1, head_lr=1)
RUN: dict[str, Any] = {
    "scale": "paper", "architecture": "resnet18", "task": "cars", "data": "", "base_task": "imagenet", "base_data": "",
    "image_size": 8, "seed": 0,
}  # fmt: skip
SMALL = Preprocessing(image_size=8, crop_pct=1.0, interpolation="bicubic", mean=(0.0,) * 3, std=(1.0,) * 3)
OWN = replace(SMALL, crop_pct=0.95)


def confirm(results: Path, top1: float) -> None:
    weights = "timm:resnet18.tv_in1k"
    found = {"fingerprint": "f", "data_sha": "d", "top1": top1, "n_examples": 50000, "transform": "224px"}
    confirm_base(results, weights, expected=BASE_TOP1[weights], **found)  # type: ignore[arg-type]


def test_a_base_as_the_paper_has_it_leaves_a_proof(tmp_path: Path) -> None:
    confirm(tmp_path, 69.1)
    proof = json.loads(proof_path(tmp_path, "timm:resnet18.tv_in1k").read_text())
    assert (proof["top1"], proof["expected"], proof["fingerprint"], proof["n_examples"]) == (69.1, 68.87, "f", 50000)


@pytest.mark.parametrize("top1", [68.56, 69.18, 71.5])
def test_another_base_is_refused(top1: float, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"expected 68\.87 \+- 0\.3: other weights.*fetch imagenet --check") as caught:
        confirm(tmp_path, top1)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_all_weights_of_the_paper_are_pinned() -> None:
    assert set(BASE_TOP1) == {*PAPER_WEIGHTS.values(), TABLE1_WEIGHTS, TABLE5_WEIGHTS}
    assert len(BASE_TOP1) == 12
    assert {name.removeprefix("timm:") for name in BASE_TOP1} <= set(timm.list_models(pretrained=True))
    assert base_check.TOLERANCE == 0.3


class AlwaysThree(nn.Module):
    """Answers class 3 whatever it sees, and counts the images."""

    num_classes = 4

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weight))
        self.seen = 0

    def forward(self, images: Tensor) -> Tensor:
        self.seen += len(images)
        return self.weight * torch.eye(4)[3].expand(len(images), 4)


def base_task(preprocessing: Preprocessing) -> TaskData:
    """24 images of four classes."""
    inputs = torch.zeros(24, 3, 8, 8, dtype=torch.uint8)
    split = TensorSplit(inputs=inputs, labels=torch.arange(24) % 4, preprocessing=preprocessing)
    return TaskData(name="imagenet", classes=4, sha="d", train=split, val=split, test=split)


@pytest.mark.parametrize("weights", ["timm:resnet18.tv_in1k", "timm:resnet18.a1_in1k"])
def test_a_base_is_measured_once_as_its_pinned_value_was(
    weights: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunSpec(**RUN, weights=weights, method=FcOnly(recipe=RECIPE))
    env, base, net = Env(results=tmp_path / "r", cache=tmp_path), base_task(SMALL), AlwaysThree(1.0)
    monkeypatch.setattr(base_check, "preprocessing_of", lambda _net: OWN)
    monkeypatch.setattr(base_check, "load_base_task", lambda _name, _env, preprocessing, **_: base_task(preprocessing))
    monkeypatch.setitem(BASE_TOP1, weights, 25.2)
    for _ in range(2):
        prove_base(run.weights, env, net, base)
    assert net.seen == 24
    proof = json.loads(proof_path(tmp_path / "r", weights).read_text())
    assert (proof["top1"], proof["expected"], proof["data_sha"]) == (25.0, 25.2, "d")
    assert proof["transform"] == str(OWN if weights in TIMM_TOP1 else SMALL)
    monkeypatch.setitem(BASE_TOP1, weights, 26.0)
    prove_base(run.weights, env, net, base)
    with pytest.raises(UserError, match=r"reaches 25\.00 %"):  # other bytes are measured anew
        prove_base(run.weights, env, AlwaysThree(2.0), base)


@pytest.mark.parametrize(
    "run",
    [
        RunSpec(**RUN, weights="timm:resnet18.tv_in1k", method=FcOnly(recipe=RECIPE)),
        SequenceSpec(**RUN, weights="timm:resnet18.tv_in1k", method=Paint(recipe=RECIPE), rule="mean"),
    ],
    ids=lambda run: run.suite,
)
def test_runs_at_paper_scale_prove_their_base_first(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opened, "open_backbone", lambda *_: AlwaysThree(1.0))
    monkeypatch.setattr(opened, "load_base_task", lambda *_, **__: base_task(SMALL))
    for module in (patching, sequences):
        monkeypatch.setattr(module, "preprocessings", lambda *_: (SMALL, SMALL))
        monkeypatch.setattr(module, "load_task", lambda *_, **__: base_task(SMALL))
    with pytest.raises(UserError, match=r"reaches 25\.00 % on ImageNet .*expected 68\.87"):
        runners.execute(run, Env(results=tmp_path, cache=tmp_path))
