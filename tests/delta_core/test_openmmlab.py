"""The backbone for OpenMMLab, with mmengine alone: its features, its contract under Runner, and what it refuses."""

import copy
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from torch import nn

if find_spec("mmengine") is None:
    pytest.skip("mmengine is not installed; nox -s openmmlab makes its environment", allow_module_level=True)

from mmengine.model import MMDistributedDataParallel
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, Registry
from mmengine.runner import Runner, load_checkpoint
from mmengine_toy import (
    SLIM,
    CpuAmpWrapper,
    Labelled,
    Toy,
    build,
    equal,
    images,
    process_group_of_one,
    runner_of,
    slim_config,
    weights_file,
)

from delta_core import DeltaConfig, DeltaError
from delta_core.openmmlab import DeltaBackbone, DeltaHook, checkpoints
from delta_core.openmmlab import backbone as openmmlab


@pytest.fixture
def slim(tmp_path: Path) -> dict[str, Any]:
    return slim_config(tmp_path)


def refuse(message: str, config: dict[str, Any], /, **changes: Any) -> None:
    with pytest.raises(DeltaError, match=message) as caught:
        MODELS.build(config | changes)
    assert "\n" not in str(caught.value)


# --- features ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("output_stride", [8, 16, 32])
@pytest.mark.parametrize("architecture", ["resnet10t", "convnext_atto", "tf_efficientnet_lite0"])
@torch.no_grad()
def test_features_are_those_of_timm_bit_for_bit(architecture: str, output_stride: int, tmp_path: Path) -> None:
    weights = weights_file(tmp_path, architecture)
    config = {"type": "DeltaBackbone", "architecture": architecture, "weights": weights, "output_stride": output_stride}
    net = timm.create_model(
        architecture, features_only=True, pretrained=True, pretrained_cfg_overlay={"file": weights},
        output_stride=output_stride,
    ).eval()  # fmt: skip
    x = images(2)
    expected = net(x)
    for n_modules in (0, 2):
        backbone = build(config, n_modules=n_modules).train()
        with backbone.model.disable_patches():
            found = backbone(x)
        assert len(found) == len(expected)
        assert all(torch.equal(*pair) for pair in zip(found, expected, strict=True))
        assert list(backbone.out_channels) == net.feature_info.channels() == [level.shape[1] for level in found]
        assert x.shape[-1] // found[-1].shape[-1] == output_stride
    backbone.calibrate([x])
    changed = [not torch.equal(*pair) for pair in zip(backbone(x), expected, strict=True)]
    assert changed[-1]
    assert not changed[0]


def test_torchvision_nets_have_their_blocks_as_levels() -> None:
    backbone = build({"type": "DeltaBackbone", "architecture": "torchvision:resnet18", "weights": "none"}, paper=True)
    assert backbone.out_channels == (64, 128, 256, 512)
    assert [level.shape[-1] for level in backbone(images(1))] == [16, 8, 4, 2]


def test_one_class_serves_every_project_of_openmmlab(slim: dict[str, Any]) -> None:
    for scope in ("mmdet_like", "mmseg_like"):
        child = Registry("model", parent=MODELS, scope=scope)
        assert type(child.build(slim)) is DeltaBackbone


def test_options_of_the_patch_reach_it(slim: dict[str, Any]) -> None:
    paper = build(slim, n_modules=1, paper=True, config={"gating": "learnable"})
    assert paper.model.patch().config == replace(DeltaConfig.paper(n_modules=1), gating="learnable")
    assert paper.calibrated
    assert not build(slim, n_modules=1).calibrated


# --- contract ----------------------------------------------------------------------------------------------------


def trainable(module: nn.Module) -> list[str]:
    return [name for name, parameter in module.named_parameters() if parameter.requires_grad]


def test_only_the_patch_takes_gradients_and_has_train_mode(slim: dict[str, Any]) -> None:
    assert trainable(build(slim)) == []
    toy = Toy(slim | {"n_modules": 2}).train()
    assert {name.split(".")[3] for name in trainable(toy.backbone)} == {"blocks"}, "no head"
    assert not any(module.training for module in toy.backbone.model.backbone.modules())
    assert all(module.training for module in toy.backbone.model.patches.modules())


@pytest.mark.parametrize(
    "around", [{"type": "Constant", "layer": ["Conv2d", "BatchNorm2d", "Linear"], "val": 3.0},
               {"type": "Normal", "layer": [], "override": {"name": "backbone", "type": "Constant", "val": 3.0}}],
    ids=["layers", "override"],
)  # fmt: skip
def test_init_weights_leaves_the_backbone_alone(slim: dict[str, Any], around: dict[str, Any]) -> None:
    toy = Toy(slim | {"n_modules": 2}, init_cfg=around)
    before = {name: tensor.clone() for name, tensor in toy.backbone.state_dict().items()}
    toy.init_weights()
    assert equal(before, toy.backbone.state_dict())
    toy.backbone.assert_frozen()
    if "override" not in around:
        assert (toy.head.weight == 3).all(), "the rest is initialised"


@pytest.mark.parametrize("wrapper", ["OptimWrapper", CpuAmpWrapper], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("n_modules", [0, 2])
def test_a_runner_trains_patch_neck_and_head_alone(
    slim: dict[str, Any], n_modules: int, wrapper: Any, tmp_path: Path
) -> None:
    runner = runner_of(slim | {"n_modules": n_modules}, tmp_path / "run", wrapper=wrapper)
    base = build(slim).model.fingerprint
    toy = runner.model
    before = {name: tensor.clone() for name, tensor in toy.state_dict().items()}
    runner.train()
    toy.backbone.assert_frozen()
    assert toy.backbone.model.fingerprint == base
    held = {id(parameter) for group in runner.optim_wrapper.optimizer.param_groups for parameter in group["params"]}
    assert held == {id(parameter) for parameter in toy.parameters() if parameter.requires_grad}
    changed = [name for name, tensor in toy.state_dict().items() if not torch.equal(before[name], tensor)]
    assert {name.split(".")[0] for name in changed} == {"neck", "head"} | ({"backbone"} if n_modules else set())
    assert all(name.startswith("backbone.model.patches.") for name in changed if name.startswith("backbone."))


def test_a_resumed_run_ends_with_the_same_bits(slim: dict[str, Any], tmp_path: Path) -> None:
    backbone = slim | {"n_modules": 2}
    whole = runner_of(backbone, tmp_path / "whole", epochs=2)
    whole.train()
    runner_of(backbone, tmp_path / "parts", epochs=1).train()
    resumed = runner_of(backbone, tmp_path / "parts", epochs=2, resume=True)
    resumed.train()
    assert resumed.iter == 4
    assert equal(whole.model.state_dict(), resumed.model.state_dict())
    resumed.model.backbone.assert_frozen()


@pytest.fixture
def process_group(tmp_path: Path) -> Iterator[None]:
    with process_group_of_one(tmp_path):
        yield


@pytest.mark.usefixtures("process_group")
def test_distributed_training_needs_every_trainable_parameter_in_each_step(slim: dict[str, Any]) -> None:
    wrapped = MMDistributedDataParallel(module=Toy(slim | {"n_modules": 2, "paper": True})).train()
    optimizer = build_optim_wrapper(wrapped, {"optimizer": {"type": "SGD", "lr": 0.1}})
    for seed in range(3):  # a parameter without gradient fails in the step after
        wrapped.train_step({"inputs": images(seed=seed), "labels": torch.arange(4) % 2}, optimizer)
    wrapped.module.backbone.assert_frozen()


# --- calibration -------------------------------------------------------------------------------------------------


def test_the_hook_calibrates_a_new_patch_on_training_images(
    slim: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[int] = []
    monkeypatch.setattr(openmmlab, "broadcast", lambda tensor, src: sent.append(tensor.data_ptr() + src))
    runner = runner_of(slim | {"n_modules": 2}, tmp_path / "run")
    DeltaHook(batches=2).before_train(runner)
    patch = runner.model.backbone.model.patch().state_dict()
    expected = build(slim, n_modules=2)
    expected.model.calibrate([torch.stack([Labelled()[index]["inputs"] for index in range(8)])])
    for name, tensor in expected.model.patch().state_dict().items():
        assert torch.allclose(patch[name], tensor), name
    assert set(sent) == {tensor.data_ptr() for tensor in patch.values()}, "all ranks get it"
    monkeypatch.setattr(DeltaBackbone, "calibrate", lambda *_: pytest.fail("calibrated twice"))
    DeltaHook().before_train(runner)


def test_the_hook_reads_no_more_batches_than_it_may(slim: dict[str, Any], tmp_path: Path) -> None:
    counts: list[int] = []
    runner = runner_of(slim | {"n_modules": 1}, tmp_path / "run")
    runner.model.backbone.model.calibrate = lambda batches: counts.append(len(list(batches)))
    DeltaHook(batches=1).before_train(runner)
    assert counts == [1]


def test_an_endless_sampler_is_left_whole(slim: dict[str, Any], tmp_path: Path) -> None:
    """mmseg trains by steps: leaving one reading of its sampler would end all others."""
    runner = runner_of(slim | {"n_modules": 1}, tmp_path / "run")
    runner._train_dataloader |= {"sampler": {"type": "InfiniteSampler"}}
    runner._train_loop = {"type": "IterBasedTrainLoop", "max_iters": 3}
    runner.train()
    assert runner.iter == 3


# --- checkpoints -------------------------------------------------------------------------------------------------


def saved(runner: Runner, folder: Path) -> str:
    runner.train()
    return str(folder / "epoch_1.pth")


def test_a_checkpoint_brings_patch_and_frozen_net(slim: dict[str, Any], tmp_path: Path) -> None:
    runner = runner_of(slim | {"n_modules": 2}, tmp_path / "run")
    path = saved(runner, tmp_path / "run")
    other = Toy(slim | {"n_modules": 2, "weights": "none"})
    assert not other.backbone.calibrated
    load_checkpoint(other, path)
    assert equal(other.state_dict(), runner.model.state_dict())
    other.backbone.assert_frozen()
    assert other.backbone.model.fingerprint == runner.model.backbone.model.fingerprint
    assert other.backbone.calibrated


def test_a_copy_keeps_a_contract_of_its_own(slim: dict[str, Any]) -> None:
    """As moving averages of a model need it."""
    backbone = build(slim, n_modules=2)
    other = copy.deepcopy(backbone)
    other.load_state_dict({name: tensor + 1 for name, tensor in other.state_dict().items()})
    other.assert_frozen()
    backbone.assert_frozen()
    assert other.model.fingerprint != backbone.model.fingerprint


def test_a_checkpoint_of_the_baseline_may_start_a_patch(slim: dict[str, Any], tmp_path: Path) -> None:
    path = saved(runner_of(slim, tmp_path / "run"), tmp_path / "run")
    delta = Toy(slim | {"n_modules": 2})
    load_checkpoint(delta, path)
    assert not delta.backbone.calibrated


def test_a_checkpoint_of_something_else_is_refused(slim: dict[str, Any], tmp_path: Path) -> None:
    path = saved(runner_of(slim | {"n_modules": 2}, tmp_path / "run"), tmp_path / "run")
    for changes, message in (
        ({"options": SLIM | {"channels": (8, 8, 16, 8)}, "weights": "none"}, r"backbone\.architecture .* first fc\."),
        ({"architecture": "resnet34", "weights": "none"}, r"does not fit backbone\.architecture .* first layer1\.2"),
        ({"n_modules": 1}, r"does not fit backbone\.n_modules"),
        ({"n_modules": 0}, r"does not fit backbone\.n_modules"),
        ({"n_modules": 2, "config": {"norm_place": "none"}}, r"n_modules or backbone\.config"),
    ):
        with pytest.raises(DeltaError, match=message):
            load_checkpoint(Toy(slim | {"n_modules": 2} | changes), path)


def test_reading_a_checkpoint_gives_nothing_but_methods_of_the_log() -> None:
    assert checkpoints.history_method(checkpoints.HistoryBuffer, "mean") is checkpoints.HistoryBuffer.mean
    for owner, name in ((Path, "unlink"), (checkpoints.HistoryBuffer, "__init__")):
        with pytest.raises(DeltaError, match="no checkpoint of mmengine needs"):
            checkpoints.history_method(owner, name)


@pytest.mark.parametrize("thing", [slice(3), np.ones(3, np.float32), Path("x")], ids=str)
def test_reading_a_checkpoint_gives_no_object_that_a_log_has_not(thing: object, tmp_path: Path) -> None:
    log = checkpoints.HistoryBuffer()
    log.update(0.5)
    torch.save({"log": log}, tmp_path / "log.pth")
    read = checkpoints.load_checkpoint_file(str(tmp_path / "log.pth"))["log"]
    assert (read.mean(), read.current()) == (0.5, 0.5)
    torch.save({"log": thing}, tmp_path / "other.pth")
    with pytest.raises(DeltaError, match=r"cannot be read \(Weights only load failed"):
        checkpoints.load_checkpoint_file(str(tmp_path / "other.pth"))


# --- the stock reading -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frozen_stages", "expected"),
    [
        (-1, {"conv1", "bn1", "layer1", "layer2", "layer3", "layer4"}),
        (0, {"layer1", "layer2", "layer3", "layer4"}),
        (1, {"layer2", "layer3", "layer4"}),
        (4, set()),
    ],
)
@pytest.mark.parametrize("norm_eval", [True, False])
def test_frozen_stages_mean_what_they_mean_in_mmdet(
    slim: dict[str, Any], frozen_stages: int, expected: set[str], norm_eval: bool
) -> None:
    backbone = build(slim, frozen_stages=frozen_stages, norm_eval=norm_eval).train()
    assert {name.split(".")[2] for name in trainable(backbone)} == expected
    norms = {n: m.training for n, m in backbone.model.backbone.named_modules() if isinstance(m, nn.BatchNorm2d)}
    assert {name.split(".")[0] for name, training in norms.items() if training} == (set() if norm_eval else expected)
    assert not any(module.training for module in backbone.eval().modules())


def test_what_no_output_needs_is_not_fine_tuned(slim: dict[str, Any]) -> None:
    backbone = build(slim, frozen_stages=1, out_indices=(1, 3))
    assert {name.split(".")[2] for name in trainable(backbone)} == {"layer2", "layer3"}


# --- bad input ---------------------------------------------------------------------------------------------------


def test_a_field_that_cannot_be_met_is_named(slim: dict[str, Any], tmp_path: Path) -> None:
    refuse(r"architecture='resnet999'.* is not a timm model", slim, architecture="resnet999")
    refuse(r"weights='none\.pt'.* nor an existing file", slim, weights="none.pt")
    refuse(r"weights='.*resnet10t\.pt'.* of another architecture", slim, weights=weights_file(tmp_path, "resnet10t"))
    refuse(r"backbone\.out_indices is \(1, 5\); resnet18 has levels 0 to 4", slim, out_indices=(1, 5))
    refuse(r"backbone\.out_indices is \(\)", slim, out_indices=())
    refuse(r"backbone\.output_stride is 4; choose 8, 16 or 32", slim, output_stride=4)
    densenet = {"architecture": "densenet121", "weights": "none", "options": {}}
    refuse(r"backbone\.output_stride is 8, but densenet121 cannot be dilated", slim | densenet, output_stride=8)
    torchvision = densenet | {"architecture": "torchvision:resnet18", "out_indices": (3,)}
    refuse(r"backbone\.output_stride is 16, but torchvision:resnet18", slim | torchvision, output_stride=16)
    refuse(r"backbone\.n_modules or backbone\.config.* 4 blocks", slim, n_modules=5)
    refuse(r"backbone\.config.*gating is 'learned'", slim, n_modules=1, config={"gating": "learned"})
    refuse(
        r"backbone\.config has no option 'gates'; choose from blocks_after, gating",
        slim,
        n_modules=1,
        config={"gates": 1},
    )
    refuse(r"backbone\.n_modules is 0", slim, paper=True)
    refuse(r"out_indices is \(1, 2\) and ends before layer3", slim, n_modules=2, out_indices=(1, 2))
    refuse(r"backbone\.frozen_stages is 1, but a patch", slim, n_modules=1, frozen_stages=1)
    refuse(r"backbone\.frozen_stages is 5; choose from -1 to 4", slim, frozen_stages=5)
    refuse(r"backbone\.norm_eval is False", slim, norm_eval=False)


def test_init_cfg_names_weights_in_openmmlabs_way(slim: dict[str, Any]) -> None:
    pretrained = {"type": "Pretrained", "checkpoint": slim["weights"]}
    plain = {name: value for name, value in slim.items() if name != "weights"}
    assert equal(build(plain, init_cfg=pretrained).state_dict(), build(slim).state_dict())
    refuse(r"init_cfg\.checkpoint='no\.pth'", plain, init_cfg=pretrained | {"checkpoint": "no.pth"})
    refuse(r"backbone\.init_cfg is .*backbone\.weights", slim, init_cfg=pretrained)
    refuse(r"backbone\.init_cfg is .*Kaiming", plain, init_cfg={"type": "Kaiming", "layer": "Conv2d"})
