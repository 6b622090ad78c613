"""The freezing contract under mmengine's features: what a common line of a config does to the net below a patch.

After each: the frozen bytes are those that training began with, in the model and in the checkpoint; the net computes
the same; the patch converts to a folder and gives the same levels in the library without OpenMMLab, bit for bit.
"""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

if find_spec("mmengine") is None:
    pytest.skip("mmengine is not installed; nox -s openmmlab makes its environment", allow_module_level=True)

from mmengine.hooks import EMAHook
from mmengine.model import convert_sync_batchnorm
from mmengine_toy import (
    SLIM,
    STAGES,
    CpuAmpWrapper,
    Toy,
    build,
    equal,
    images,
    process_group_of_one,
    runner_of,
    slim_config,
)

from delta_core import DeltaModel, FrozenError, create_model
from delta_core.openmmlab import PATCH, DeltaHook, load_checkpoint_file
from delta_core.weights import load_backbone


@pytest.fixture
def slim(tmp_path: Path) -> dict[str, Any]:
    return slim_config(tmp_path)


def averaging(kind: str, **options: Any) -> dict[str, Any]:
    return {"custom_hooks": [{"type": "DeltaHook", "batches": 2}, {"type": "EMAHook", "ema_type": kind, **options}]}


FEATURES: dict[str, dict[str, Any]] = {
    "plain": {},
    "EMA": averaging("ExponentialMovingAverage"),
    "EMA with buffers": averaging("ExponentialMovingAverage", update_buffers=True),
    "SWA": averaging("StochasticWeightAverage"),
    "weighted sum": averaging("WeightedSum"),
    "weighted sum with buffers": averaging("WeightedSum", update_buffers=True),
    "ExpMomentumEMA": averaging("mmdet.ExpMomentumEMA", momentum=0.2, gamma=10),
    "bfloat16": {"wrapper": CpuAmpWrapper},
    "accumulation": {"accumulative_counts": 2},
    "checkpointing": {"cfg": {"activation_checkpointing": ["backbone.model.backbone.layer3"]}},
}


def check(trained: Toy, checkpoint: Path, slim: dict[str, Any], folder: Path) -> None:
    """The contract, for a model after training and for its checkpoint."""
    untouched = build(slim)
    trained.backbone.assert_frozen()
    assert trained.backbone.model.fingerprint == untouched.model.fingerprint
    loaded = Toy(slim | {"n_modules": 2, "weights": "none"})
    loaded.load_state_dict(load_checkpoint_file(str(checkpoint))["state_dict"])
    assert loaded.backbone.model.fingerprint == untouched.model.fingerprint
    x = images(2)
    with torch.no_grad(), loaded.eval().backbone.model.disable_patches():
        assert all(torch.equal(*pair) for pair in zip(loaded.backbone(x), untouched.eval()(x), strict=True))
    loaded.backbone.model.save_patch(folder, PATCH)
    net = load_backbone("resnet18", slim["weights"], **SLIM)
    plain = DeltaModel(net, architecture="resnet18", weights=slim["weights"])
    plain.set_patch(plain.load_patch(folder))
    with torch.no_grad():
        expected = plain.eval().forward_intermediates(x, STAGES)
        assert all(torch.equal(*pair) for pair in zip(loaded.backbone(x), expected, strict=True))


@pytest.mark.parametrize("feature", FEATURES)
def test_what_is_frozen_stays_so(feature: str, slim: dict[str, Any], tmp_path: Path) -> None:
    if feature == "ExpMomentumEMA":
        pytest.importorskip("mmdet.models.layers.ema")
    runner = runner_of(slim | {"n_modules": 2}, tmp_path / "run", epochs=3, **FEATURES[feature])
    runner.train()
    check(runner.model, tmp_path / "run" / "epoch_3.pth", slim, tmp_path / "patch")


def test_a_resumed_training_with_averages_ends_with_the_same_bits(slim: dict[str, Any], tmp_path: Path) -> None:
    backbone, ema = slim | {"n_modules": 2}, FEATURES["EMA"]
    whole = runner_of(backbone, tmp_path / "whole", epochs=3, **ema)
    whole.train()
    runner_of(backbone, tmp_path / "parts", epochs=1, **ema).train()
    resumed = runner_of(backbone, tmp_path / "parts", epochs=3, resume=True, **ema)
    resumed.train()
    last, parts = (load_checkpoint_file(str(tmp_path / name / "epoch_3.pth")) for name in ("whole", "parts"))
    assert equal(last["state_dict"], parts["state_dict"])
    assert equal(last["ema_state_dict"], parts["ema_state_dict"])
    check(resumed.model, tmp_path / "parts" / "epoch_3.pth", slim, tmp_path / "patch")


def test_what_learns_is_averaged(slim: dict[str, Any], tmp_path: Path) -> None:
    runner = runner_of(slim | {"n_modules": 2}, tmp_path / "run", epochs=2, **FEATURES["EMA"])
    runner.train()
    saved = load_checkpoint_file(str(tmp_path / "run" / "epoch_2.pth"))["state_dict"]
    own = runner.model.state_dict()
    learned = [name for name, parameter in runner.model.named_parameters() if parameter.requires_grad]
    assert learned
    assert not any(torch.equal(saved[name], own[name]) for name in learned)


def test_a_checkpoint_with_another_net_is_never_written(slim: dict[str, Any], tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("delta_core.openmmlab.hook._leave_out", lambda *_: None)
    runner = runner_of(slim | {"n_modules": 2}, tmp_path / "run", epochs=3, **averaging("WeightedSum"))
    with pytest.raises(FrozenError, match="would hold another net below the patch than training began with"):
        runner.train()


def test_a_net_that_was_changed_ends_the_training(slim: dict[str, Any], tmp_path: Path) -> None:
    runner = runner_of(slim | {"n_modules": 2}, tmp_path / "run")
    next(runner.model.backbone.model.backbone.parameters()).data.add_(1)
    with pytest.raises(FrozenError):
        DeltaHook().after_train(runner)


def test_the_stock_reading_is_fine_tuned_and_averaged(slim: dict[str, Any], tmp_path: Path) -> None:
    runner = runner_of(slim | {"frozen_stages": 1}, tmp_path / "run", epochs=2, **FEATURES["EMA"])
    runner.train()
    hook = next(hook for hook in runner.hooks if isinstance(hook, EMAHook))
    assert any(name.startswith("backbone.model.backbone.layer4") for name in hook.ema_model.avg_parameters)


# --- sync_bn -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "implementation",
    [
        "torch",
        pytest.param("mmcv", marks=pytest.mark.skipif(find_spec("mmcv") is None, reason="mmcv is not installed")),
    ],
)
@pytest.mark.parametrize("architecture", ["resnet10t", "tf_efficientnet_lite0"])
@torch.no_grad()
def test_sync_bn_reaches_the_patch_alone(implementation: str, architecture: str, tmp_path: Path) -> None:
    config = {"type": "DeltaBackbone", "architecture": architecture, "weights": "none", "n_modules": 2}
    toy = Toy(config)
    x = images(2)
    with toy.eval().backbone.model.disable_patches():
        before = toy.backbone(x)
    with process_group_of_one(tmp_path):
        converted = convert_sync_batchnorm(toy, implementation)
    converted.train()  # as each of mmengine's loops begins
    assert all(
        "SyncBatchNorm" in type(block.norm).__name__ for block in converted.backbone.model.patch().blocks.values()
    )
    converted.backbone.assert_frozen()
    converted.backbone.calibrate([x])
    assert converted.backbone.calibrated
    with converted.eval().backbone.model.disable_patches():
        after = converted.backbone(x)
    assert all(torch.equal(*pair) for pair in zip(before, after, strict=True))


def test_bytes_alone_are_no_proof() -> None:
    """The same tensors in a BatchNorm without its activation: another function."""
    model = create_model("tf_efficientnet_lite0", weights="none", num_classes=2)
    name, norm = next((n, m) for n, m in model.backbone.named_modules() if isinstance(m, nn.BatchNorm2d))
    model.backbone.set_submodule(name, nn.SyncBatchNorm.convert_sync_batchnorm(norm))
    with pytest.raises(FrozenError, match=r"A module of the backbone was exchanged: bn1 .*SyncBatchNorm"):
        model.assert_frozen()


# --- several processes -------------------------------------------------------------------------------------------

TRAIN = """
import json, sys
from pathlib import Path
import torch
sys.path[:0] = sys.argv[3:]
from mmengine_toy import runner_of
torch.set_num_threads(1)
torch.distributed.init_process_group("gloo")  # mmengine would ask for a GPU
runner = runner_of(json.loads(sys.argv[1]) | {"n_modules": 2}, Path(sys.argv[2]), epochs=2, launcher="pytorch",
                   cfg={"model_wrapper_cfg": {"type": "CpuDistributed"}})
runner.train()
runner.model.module.backbone.assert_frozen()
print("proven on rank", torch.distributed.get_rank(), flush=True)
"""


def test_two_processes_train_one_patch(slim: dict[str, Any], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--master-port=0", "--standalone"]
    script = tmp_path / "train.py"
    script.write_text(TRAIN)
    folders = [json.dumps(slim), str(tmp_path / "run"), *sys.path]
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, str(script), *folders], capture_output=True, text=True, env=environment, timeout=240
    )
    assert done.returncode == 0, done.stderr
    assert {"proven on rank 0", "proven on rank 1"} <= set(done.stdout.splitlines())
    trained = Toy(slim | {"n_modules": 2})
    path = tmp_path / "run" / "epoch_2.pth"
    trained.load_state_dict(load_checkpoint_file(str(path))["state_dict"])
    check(trained, path, slim, tmp_path / "patch")
