"""Whether the base is the paper's: what is pinned, what is measured, and the proof that is kept once."""

import json
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from lookalikes import write
from tiny import basic_block_net
from torch import Tensor, nn

from benchmarks.data import load
from benchmarks.data.catalogue import entry
from benchmarks.data.catalogue.held_out import as_text
from benchmarks.data.catalogue.look_alikes import declare_weights
from benchmarks.env import Env
from benchmarks.methods.fc_only import FcOnly
from benchmarks.methods.paint import Paint
from benchmarks.nets import base_check
from benchmarks.nets.base_check import BASE_TOP1, BaseProof, prove_base
from benchmarks.nets.base_transforms import BASE_TRANSFORMS, PAPER_TRANSFORM, BaseTransform, prepared
from benchmarks.nets.open import preprocessings
from benchmarks.records.names import TABLE1_WEIGHTS
from benchmarks.spec import Run
from benchmarks.suites import execute as runners
from benchmarks.suites import opened
from benchmarks.suites.patching import runner as patching
from benchmarks.suites.patching.spec import RunSpec
from benchmarks.suites.sequence import runner as sequences
from benchmarks.suites.sequence.spec import SequenceSpec
from benchmarks.suites.transfer.table import PAPER_WEIGHTS as TABLE5_WEIGHTS
from benchmarks.tables import TABLES, runs_of
from benchmarks.worlds.open import open_world
from benchmarks.worlds.options import Options
from benchmarks.worlds.paper import PAPER_WEIGHTS
from delta_core.training.data.splits import TaskData, TensorSplit
from delta_core.training.errors import UserError
from delta_core.training.identity import canonical_json
from delta_core.training.recipe import Recipe
from delta_core.weights import Preprocessing

RECIPE = Recipe(epochs=1, lr=1, head_lr=1)
RUN: dict[str, Any] = {
    "scale": "paper", "architecture": "resnet18", "task": "cars", "data": "", "base_task": "imagenet_val",
    "base_data": "", "image_size": 8, "seed": 0,
}  # fmt: skip
SMALL = Preprocessing(image_size=8, crop_pct=1.0, interpolation="bicubic", mean=(0.0,) * 3, std=(1.0,) * 3)
OWN = replace(SMALL, crop_pct=0.95)


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


def split_of(labels: Tensor, preprocessing: Preprocessing) -> TensorSplit:
    inputs = torch.zeros(len(labels), 3, 8, 8, dtype=torch.uint8)
    return TensorSplit(inputs=inputs, labels=labels, preprocessing=preprocessing)


def base_task(preprocessing: Preprocessing, threes: int = 6) -> TaskData:
    """24 images, so many of them of class 3; 4 are held out, 2 of them of class 3."""
    held = torch.tensor([3, 3, 0, 0])
    reported = torch.tensor([3] * (threes - 2) + [1] * (22 - threes))
    test = split_of(reported, preprocessing)
    val = split_of(held, preprocessing)
    return TaskData(name="imagenet_val", classes=4, sha="d", train=val, val=val, test=test)


class Gate:
    """A net that answers class 3, base images whose classes depend on the transform, and what was opened."""

    weights = "timm:resnet18.tv_in1k"
    expected = 25.0

    def __init__(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, threes: dict[str, int], own: Preprocessing
    ) -> None:
        self.env = Env(results=folder / "r", cache=folder)
        self.net = AlwaysThree(1.0)
        self.own = own
        self.threes = threes
        self.opened: list[tuple[str, float]] = []
        monkeypatch.setattr(base_check, "preprocessing_of", lambda _net: own)
        monkeypatch.setattr(base_check, "load_base_task", self.load)
        monkeypatch.setitem(BASE_TOP1, self.weights, self.expected)

    def load(self, name: str, env: Env, preprocessing: Preprocessing, **_: object) -> TaskData:
        assert name == "imagenet_val"
        found = next(each for each in BASE_TRANSFORMS if prepared(self.own, each) == preprocessing)
        self.opened.append((found, env.cache_gb))
        return base_task(preprocessing, self.threes[found])

    def prove(self, accepted: BaseTransform | None = None, weights: str = weights) -> None:
        shown = accepted or PAPER_TRANSFORM
        base = base_task(prepared(self.own, shown), self.threes[shown])
        prove_base(weights, self.env, self.net, base, accepted)

    def proof(self) -> dict[str, Any]:
        (path,) = (self.env.results / "bases").glob("*.json")
        return json.loads(path.read_text())


def test_a_base_as_the_paper_has_it_is_measured_once_on_all_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(tmp_path, monkeypatch, dict.fromkeys(BASE_TRANSFORMS, 6), OWN)
    for _ in range(2):
        gate.prove()
    assert gate.net.seen == 24, "held-out images too, once"
    assert gate.opened == []
    proof = gate.proof()
    assert (proof["top1"], proof["expected"], proof["n_examples"]) == ({"whole-bicubic": 25.0}, 25.0, 24)
    gate.net = AlwaysThree(2.0)  # other bytes are measured anew, beside
    gate.prove()
    assert gate.net.seen == 24
    assert len(list((tmp_path / "r/bases").glob("*.json"))) == 2


@pytest.mark.filterwarnings("ignore:Proof")
def test_no_flipped_bit_of_a_proof_changes_what_a_base_reaches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(tmp_path, monkeypatch, dict.fromkeys(BASE_TRANSFORMS, 6), OWN)
    gate.prove()
    (path,) = (tmp_path / "r/bases").glob("*.json")
    whole = path.read_bytes()
    asked = BaseProof(**{name: said for name, said in gate.proof().items() if name not in ("top1", "sha256")})
    for place in range(0, len(whole), 3):
        content = bytearray(whole)
        content[place] ^= 1 << place % 7
        path.write_bytes(content)
        assert base_check._kept(path, asked) in ({}, {"whole-bicubic": 25.0})


def test_a_damaged_proof_is_told_and_an_older_version_s_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(tmp_path, monkeypatch, dict.fromkeys(BASE_TRANSFORMS, 6), OWN)
    gate.prove()
    (path,) = (tmp_path / "r/bases").glob("*.json")
    whole = json.loads(path.read_text())
    path.write_text(json.dumps({name: said for name, said in whole.items() if name != "sha256"}))
    gate.prove()
    assert gate.net.seen == 24
    path.write_text(json.dumps(whole | {"top1": {"whole-bicubic": 24.9}}))
    with pytest.warns(UserWarning, match=r"^Proof '.*' is damaged; the base is measured again\.$"):
        gate.prove()
    assert gate.net.seen == 48
    assert gate.proof() == whole


def test_a_base_that_no_table_prints_is_measured_as_its_model_card_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threes = {"whole-bicubic": 4, "whole-bilinear": 4, "own-bicubic": 6, "own-bilinear": 4}
    gate = Gate(tmp_path, monkeypatch, threes, OWN)
    monkeypatch.setitem(BASE_TOP1, "timm:resnet18.a1_in1k", 25.0)
    gate.prove(weights="timm:resnet18.a1_in1k")
    assert gate.opened == [("own-bicubic", 0)], "what is read once is not kept"
    assert gate.proof()["top1"] == {"own-bicubic": 25.0}


def test_a_base_that_is_off_says_what_it_reaches_in_every_transform_and_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threes = {"whole-bicubic": 4, "whole-bilinear": 5, "own-bicubic": 3, "own-bilinear": 6}
    gate = Gate(tmp_path, monkeypatch, threes, OWN)
    for _ in range(2):  # the second time from the proof
        with pytest.raises(UserError) as caught:
            gate.prove()
        text = str(caught.value)
        assert "resnet18.tv_in1k reaches 16.67 % on ImageNet (24 images, whole-bicubic: 8px crop=1 bicubic" in text
        assert "expected 25.00 +- 0.3" in text
        assert "whole-bilinear 20.83, own-bicubic 12.50, own-bilinear 25.00 (fits)" in text
        assert text.endswith("--accept-base resnet18.tv_in1k=own-bilinear")
        assert "\n" not in text
    assert gate.net.seen == 4 * 24, "each once"
    gate.prove("own-bilinear")
    gate.prove("own-bicubic")  # whatever it reaches
    assert gate.net.seen == 4 * 24


@pytest.mark.parametrize(("declared", "passes"), [(25.0, True), (50.0, False)])
def test_random_weights_are_compared_with_what_is_declared_of_them(
    declared: float, passes: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(tmp_path, monkeypatch, dict.fromkeys(BASE_TRANSFORMS, 6), OWN)
    monkeypatch.setitem(BASE_TOP1, gate.weights, 99.0)
    declare_weights(tmp_path / "weights", gate.weights, top1=declared)
    gate.env = replace(gate.env, weights_root=tmp_path / "weights")
    with nullcontext() if passes else pytest.raises(UserError, match=r"reaches 25\.00 %.*expected 50\.00"):
        gate.prove()


def test_transforms_that_do_the_same_are_measured_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(tmp_path, monkeypatch, dict.fromkeys(BASE_TRANSFORMS, 4), replace(SMALL, crop_pct=1.0))
    with pytest.raises(UserError, match=r"whole-bilinear 16\.67, own-bicubic 16\.67, own-bilinear 16\.67\."):
        gate.prove()
    assert gate.net.seen == 2 * 24


@pytest.mark.parametrize("top1", [68.56, 69.18, 71.5])
def test_half_a_point_is_too_much(top1: float) -> None:
    proof = BaseProof(
        weights="w", fingerprint="f", data_sha="d", n_examples=1, expected=68.87, expected_in="whole-bicubic",
        top1={"whole-bicubic": top1, "own-bicubic": 69.16},
    )  # fmt: skip
    assert proof.fits == ["own-bicubic"]


def accepting(*said: str, table: str = "table2") -> list[Run]:
    options = Options(table=table, scale="paper", accept_base=said)
    return runs_of(options, open_world(options, TABLES[table].tasks))


def test_what_was_accepted_is_part_of_the_runs_and_stands_in_their_rows() -> None:
    usual, runs = accepting(), accepting("resnet34.bt_in1k=own-bilinear")
    changed = {now.architecture for before, now in zip(usual, runs, strict=True) if before.run_id != now.run_id}
    assert changed == {"resnet34"}
    run = next(run for run in runs if run.architecture == "resnet34")
    assert run.protocol.endswith(",base=own-bilinear")
    assert '"base_transform":"own-bilinear"' in canonical_json(run)
    assert "base_transform" not in canonical_json(usual[0])
    walks = [run for run in accepting("resnet18.tv_in1k=own-bicubic", table="table4") if run.suite == "sequence"]
    assert {run.protocol.rpartition(",")[2] for run in walks if run.architecture == "resnet18"} == {"base=own-bicubic"}
    alone = accepting("resnet18.a1_in1k=own-bicubic", table="table1")
    assert {run.protocol.rpartition(",")[2] for run in alone} == {"base=own-bicubic"}


@pytest.mark.parametrize("said", ["resnet34=own-bilinear", "resnet34.bt_in1k=bilinear", "resnet34.bt_in1k"])
def test_what_cannot_be_accepted_is_bad_input(said: str) -> None:
    with pytest.raises(UserError, match=rf"--accept-base {said} is not TAG=TRANSFORM; tags are resnet18\.tv_in1k, "):
        accepting(said)
    with pytest.raises(UserError, match="--accept-base belongs to --scale paper; --scale embedded brings its own"):
        Options(table="table2", accept_base=("resnet34.bt_in1k=own-bilinear",)).check()


def test_base_images_are_prepared_as_accepted_and_task_images_as_ever() -> None:
    net = timm.create_model("resnet18.tv_in1k")
    task, base = preprocessings("paper", 224, net)
    assert (task.crop_pct, task.interpolation) == (base.crop_pct, base.interpolation) == (1.0, "bicubic")
    accepted_task, accepted = preprocessings("paper", 224, net, base_transform="own-bilinear")
    assert accepted_task == task
    assert (accepted.crop_pct, accepted.interpolation) == (0.875, "bilinear")


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
    for module in (opened, base_check):
        monkeypatch.setattr(module, "load_base_task", lambda *_, **__: base_task(SMALL))
    monkeypatch.setattr(base_check, "preprocessing_of", lambda _net: OWN)
    for module in (patching, sequences):
        monkeypatch.setattr(module, "preprocessings", lambda *_, **__: (SMALL, SMALL))
        monkeypatch.setattr(module, "load_task", lambda *_, **__: base_task(SMALL))
    with pytest.raises(UserError, match=r"reaches 25\.00 % on ImageNet .*expected 68\.87"):
        runners.execute(run, Env(results=tmp_path, cache=tmp_path))


@pytest.fixture
def paper_env(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Env:
    """Look-alikes of Cars and of ImageNet's validation images, and a net of random numbers for every tag."""
    found = {name: write(name, tmp_path / "data") for name in ("cars", "imagenet_val")}
    monkeypatch.setattr(entry, "LISTS", tmp_path)
    for name, each in found.items():
        (tmp_path / f"{name}.txt").write_text(as_text(name, each.counts[each.train]))
    monkeypatch.setattr(load, "CATALOGUE", found)

    def tiny_net(*_: object) -> nn.Module:
        net = basic_block_net()
        net.pretrained_cfg |= {"input_size": (3, 32, 32), "crop_pct": 0.875}  # type: ignore[operator]
        return net

    monkeypatch.setattr(opened, "open_backbone", tiny_net)
    return Env(results=tmp_path / "r", cache=tmp_path / "c", data_root=tmp_path / "data")


def test_a_refused_base_is_accepted_and_says_so_and_patches_do_without(paper_env: Env) -> None:
    same: dict[str, Any] = RUN | {"image_size": 32, "weights": "timm:resnet18.tv_in1k", "method": FcOnly(recipe=RECIPE)}
    with pytest.raises(UserError, match=r"\(36 images, whole-bicubic: 32px .* own-bilinear \d") as caught:
        runners.execute(RunSpec(**same), paper_env)
    accepted = str(caught.value).rpartition("=")[2]
    rows = runners.execute(RunSpec(**same, base_transform=accepted), paper_env)
    assert all(f"base={accepted}" in row.protocol and accepted in row.config for row in rows)
    on_base = [row for row in rows if row.column == "imagenet_val"]
    assert [row.n_examples for row in on_base] == [32, 32], "what is held out for alpha is not reported"
    rows = runners.execute(RunSpec(**same | {"base_task": "", "base_data": ""}), paper_env)
    assert {row.column for row in rows} == {"cars"}
    assert all(row.base_logits_equal and row.backbone_sha_before == row.backbone_sha_after for row in rows)


def test_a_base_without_a_head_is_not_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opened, "open_backbone", lambda *_: timm.create_model("resnet10t", num_classes=0))
    run = RunSpec(**RUN, weights="file:0", method=FcOnly(recipe=RECIPE))
    with pytest.raises(UserError, match="'file:0' have no head to measure the base task with"):
        opened.open_run(run, Env(cache=tmp_path, results=tmp_path)).base_task("imagenet_val", OWN, accepted=None)
