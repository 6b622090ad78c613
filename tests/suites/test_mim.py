"""Detector and segmentor of OpenMMLab on the backbone: build, train, resume, test, convert. Needs mmcv's ops."""

import itertools
import os
import re
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from dense_world import COUNTS, as_coco, as_segnet, as_voc_with_png, tiny_cache
from event_files import scalars_in

if find_spec("mmdet") is None or find_spec("mmcv") is None:
    pytest.skip("OpenMMLab is not installed; nox -s openmmlab makes its environment", allow_module_level=True)

import mmdet.registry
import mmseg.registry
from mmdet.apis import DetInferencer
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import MODELS, Registry
from mmengine.runner import Runner
from mmseg.apis import MMSegInferencer

sys.path.append(str(Path(__file__).parents[2] / "tools"))
from convert import HEADS, to_checkpoint, to_patch
from predict import predict

from benchmarks.env import Env
from benchmarks.records.collected import collect
from benchmarks.records.record_files import write_record
from benchmarks.run_log import log_folder
from benchmarks.suites.dense import boxes, masks, progress, slim_backbone  # noqa: F401 - register what configs name
from benchmarks.suites.dense import runner as train
from benchmarks.suites.dense.runner import config_of, pictures_path, work_folder
from benchmarks.suites.dense.scenes import CLASS_NAMES, scenes_folder
from benchmarks.suites.dense.settled import settled
from benchmarks.suites.dense.spec import DenseRun, arms
from delta_core import DeltaError
from delta_core.openmmlab import load_checkpoint_file
from delta_core.training.callback import Callback
from delta_core.training.errors import UserError

ROOT = Path(__file__).parents[2]
OF_TABLE_7 = ("faster_rcnn_lite0", "faster_rcnn_r18", "faster_rcnn_r34", "deeplabv3_lite0", "deeplabv3_r50")
CONFIGS = sorted(path for path in ROOT.glob("*/configs/*.py") if not path.stem.endswith("_delta"))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_cache(tmp_path_factory.mktemp("cache"), "resnet18", "resnet34", "resnet50")


@pytest.fixture(autouse=True)
def world(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("DELTA_CACHE", str(cache))
    monkeypatch.setenv("DELTA_DATA", "scenes")
    monkeypatch.delenv("DELTA_HEADS", raising=False)
    yield
    torch.set_num_threads(1)


def run(kind: str, arm: int = 1, **changes: Any) -> DenseRun:
    architecture = "resnet18" if kind == "detection" else "resnet50"
    given: dict[str, Any] = {
        "scale": "embedded", "architecture": architecture, "weights": "pretrain:x", "task": kind, "data": "v1",
        "method": arms(kind, "embedded")[arm], "heads": "narrow", "epochs": 4, "seed": 0,
    }  # fmt: skip
    return DenseRun(**given | changes)


def env_of(folder: Path, cache: Path) -> Env:
    return Env(results=folder, cache=cache)


# --- configs -----------------------------------------------------------------------------------------------------


def test_every_config_is_here() -> None:
    assert [path.stem for path in CONFIGS] == [
        *OF_TABLE_7[:3], "fcos_r18", "retinanet_r18", *OF_TABLE_7[3:], "fcn_r50", "upernet_r50"
    ]  # fmt: skip


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_baseline_and_delta_differ_in_the_backbone_alone(path: Path, tmp_path: Path) -> None:
    delta_path = path.with_name(f"{path.stem}_delta.py")
    baseline, delta = (settled(Config.fromfile(at)).to_dict() for at in (path, delta_path))
    assert (baseline["model"]["backbone"].pop("n_modules"), delta["model"]["backbone"].pop("n_modules")) == (0, 4)
    assert baseline == delta
    delta["model"]["backbone"]["n_modules"] = 4
    settled(Config.fromfile(delta_path)).dump(tmp_path / "saved.py")
    saved = settled(Config.fromfile(tmp_path / "saved.py"), environment={}).to_dict()
    assert without_scopes(saved) == without_scopes(delta), "a saved config chooses the same without the environment"


def without_scopes(value: Any) -> Any:
    """A config without what mmengine notes of the package that a base came from, when it saves one."""
    if isinstance(value, dict):
        return {name: without_scopes(part) for name, part in value.items() if name != "_scope_"}
    return [without_scopes(part) for part in value] if isinstance(value, list | tuple) else value


def test_the_config_of_your_own_in_the_readme_is_one(tmp_path: Path) -> None:
    readme = (ROOT / "detection/README.md").read_text(encoding="utf-8")
    (text,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    path = tmp_path / "mine.py"
    path.write_text(text.replace("_base_/boxes.py", str(ROOT / "detection/configs/_base_/boxes.py")))
    found = settled(Config.fromfile(path))
    model = MODELS.build(found.model)
    assert model.bbox_head.num_classes == len(found.classes)
    assert model.backbone.model.patches


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_reading_a_config_draws_and_trains_nothing(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    for name, value in (("DELTA_CACHE", str(tmp_path)), ("DELTA_DATA", "nowhere"), ("DELTA_HEADS", "wide")):
        monkeypatch.setenv(name, value)
    config = Config.fromfile(path)
    config.dump(tmp_path / "saved.py")
    assert [each.name for each in tmp_path.iterdir()] == ["saved.py"]
    assert capsys.readouterr().out == ""
    assert Config.fromfile(tmp_path / "saved.py").to_dict() == config.to_dict()


def test_the_first_backbone_that_is_built_waits_for_its_pre_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenes_folder(tmp_path, COUNTS)
    monkeypatch.setenv("DELTA_CACHE", str(tmp_path))
    config = settled(Config.fromfile(ROOT / "detection/configs/faster_rcnn_r18_delta.py"))
    assert not (tmp_path / "bases").exists()
    made = []
    monkeypatch.setattr(slim_backbone, "pretrain", lambda spec, _: made.append(tiny_cache(tmp_path, spec.architecture)))
    for _ in range(2):
        MODELS.build(config.model.backbone)
    assert len(made) == 1


@pytest.mark.parametrize(("epochs", "falls_after"), [(1, 1), (2, 2), (3, 3), (4, 3), (8, 3)])
def test_epochs_of_detection_are_passes_over_the_images(
    epochs: int, falls_after: int, cache: Path, tmp_path: Path
) -> None:
    """Fewer than the four of the config are as many epochs, more are repetitions of the images in each of the four."""
    config = config_of(run("detection", epochs=epochs), env_of(tmp_path, cache))
    assert config.train_cfg.max_epochs * config.train_dataloader.dataset.times == epochs
    (falling,) = [schedule for schedule in config.param_scheduler if "milestones" in schedule]
    assert (falling.milestones, falling.end) == ([falls_after], config.train_cfg.max_epochs)


def test_heads_are_the_stock_ones_on_ones_own_data(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DELTA_DATA", str(scenes_folder(cache)))
    config = settled(Config.fromfile(ROOT / "detection/configs/faster_rcnn_r18.py"))
    assert config.model.neck.out_channels == 256
    assert config.model.neck.in_channels == [64, 128, 256, 512]
    assert config.model.backbone.weights == "timm:tv_in1k"
    assert config.train_dataloader.dataset.times == 3
    config = settled(Config.fromfile(ROOT / "segmentation/configs/deeplabv3_r50.py"))
    assert (config.model.decode_head["in_channels"], config.model.decode_head["channels"]) == (2048, 512)


def test_options_of_a_command_line_reach_data_and_heads(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DELTA_DATA")
    config = Config.fromfile(ROOT / "detection/configs/faster_rcnn_r18_delta.py")
    given = {"data.root": str(scenes_folder(cache)), "heads": "narrow", "train_dataloader.batch_size": 7}
    config.merge_from_dict(given | {"model.roi_head.bbox_head.fc_out_channels": 99})
    found = settled(config)
    assert found.data.root == str(scenes_folder(cache))
    assert (found.model.neck.out_channels, found.model.roi_head.bbox_head.fc_out_channels) == (64, 99)
    assert (found.train_dataloader.batch_size, found.train_dataloader.num_workers) == (7, 2)


# --- training ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arm", range(5), ids=["baseline", "delta", "gates alone", "paper's reading", "stock"])
@pytest.mark.parametrize("kind", ["detection", "segmentation"])
def test_a_run_trains_tests_and_leaves_the_base_alone(kind: str, arm: int, cache: Path, tmp_path: Path) -> None:
    spec = run(kind, arm, epochs=1)
    (row,) = train.execute(spec, env_of(tmp_path, cache))
    write_record(tmp_path, [row])
    assert len(collect(tmp_path)) == 1, "the row fits the schema"
    assert row.metric == {"detection": "mAP", "segmentation": "mIoU"}[kind]
    assert 0 <= row.value <= 100
    assert row.steps > 0
    frozen = row.backbone_sha_before == row.backbone_sha_after
    assert (frozen, row.base_logits_equal) == ((True, True) if arm < 4 else (False, None))
    assert (row.params_delta > 0) == (arm > 0)
    assert (row.params_delta_full_size or 0) > 50_000 if arm in (1, 2, 3) else not row.params_delta_full_size
    pictures = np.load(pictures_path(tmp_path, spec.run_id))
    assert pictures["image_0"].shape == (128, 128, 3)
    assert f"{'boxes' if kind == 'detection' else 'mask'}_0" in pictures


def test_a_training_tells_how_far_it_is(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "time", types.SimpleNamespace(monotonic=itertools.count(0, 20).__next__))
    train.execute(run("detection", epochs=2), env_of(tmp_path, cache))
    lines = re.findall(r"^resnet18 detection .* seed 0: step (\d+) of (\d+), loss \S+, (\S+ (?:s|min)) to go$",
                       capfd.readouterr().err, re.MULTILINE)  # fmt: skip
    steps = [int(done) for done, _, _ in lines]
    assert len(steps) > 1 and steps == sorted(set(steps))
    assert len({total for _, total, _ in lines}) == 1
    assert lines[-1] == (str(steps[-1]), lines[0][1], f"{20 * (int(lines[0][1]) - steps[-1])} s")


@pytest.mark.parametrize("kind", ["detection", "segmentation"])
def test_a_log_holds_losses_rates_and_gates_and_changes_no_value(kind: str, cache: Path, tmp_path: Path) -> None:
    spec = run(kind, epochs=2)
    (silent,) = train.execute(spec, env_of(tmp_path / "silent", cache))
    (row,) = train.execute(spec, replace(env_of(tmp_path / "logged", cache), log_dir=tmp_path / "logs"))
    assert (row.value, row.backbone_sha_after) == (silent.value, silent.backbone_sha_after)
    states = [
        load_checkpoint_file(str(next(work_folder(tmp_path / name, spec.run_id).glob("*.pth"))))["state_dict"]
        for name in ("silent", "logged")
    ]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    found = scalars_in(log_folder(spec, tmp_path / "logs"))
    assert [step for step, _ in found["loss/step"]] == list(range(1, row.steps + 1))
    losses = [value for _, value in found["loss/step"]]
    (step, mean), *_ = found["loss/epoch"]
    assert mean == pytest.approx(np.mean(losses[:step]), rel=1e-5)
    assert found["loss/epoch"][-1][0] == row.steps
    rates = {value for _, value in found["lr"]}
    assert (len(rates) > 1) == (kind == "segmentation"), "that of a detector falls after two epochs"
    assert sum(tag.startswith("gates/mean/") for tag in found) == spec.method.n_delta_modules


def test_a_callback_hears_of_the_end_of_a_training_that_is_broken_off(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = []

    class BreaksOff(Callback):
        def on_start(self, module: torch.nn.Module, steps: int) -> None:  # noqa: ARG002
            heard.append("start")

        def on_step(self, loss: torch.Tensor, lr: float) -> None:  # noqa: ARG002
            heard.append("step")
            raise KeyboardInterrupt

        def on_end(self) -> None:
            heard.append("end")

    monkeypatch.setattr(train, "callbacks_of", lambda *_: [BreaksOff()])
    with pytest.raises(KeyboardInterrupt):
        train.execute(run("detection"), env_of(tmp_path, cache))
    assert heard == ["start", "step", "end"]


@pytest.mark.parametrize("kind", ["detection", "segmentation"])
def test_only_patch_neck_and_heads_reach_the_optimizer(
    kind: str, cache: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    runner = Runner.from_cfg(config_of(run(kind), env_of(tmp_path, cache)))
    wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    held = {id(parameter) for group in wrapper.optimizer.param_groups for parameter in group["params"]}
    names = [name for name, parameter in runner.model.named_parameters() if id(parameter) in held]
    assert names == [name for name, parameter in runner.model.named_parameters() if parameter.requires_grad]
    assert "skipped" not in "".join(capfd.readouterr()), "mmengine's own says so once for each frozen tensor"
    inside = [name for name in names if name.startswith("backbone.")]
    assert len(names) == len(held)
    assert inside
    assert all(name.startswith("backbone.model.patches.") for name in inside)


def test_a_killed_run_goes_on_from_its_last_checkpoint(cache: Path, tmp_path: Path) -> None:
    spec, env = run("detection"), env_of(tmp_path, cache)
    steps: list[int] = []

    class KilledError(Exception):
        pass

    def die(runner: Runner) -> None:
        steps.append(runner.epoch)
        if runner.epoch == 2:
            raise KilledError

    config = config_of(spec, env)
    runner = Runner.from_cfg(config)
    hook = type("Die", (Hook,), {"before_train_epoch": lambda _, runner: die(runner)})()
    runner.register_hook(hook, priority="LOWEST")
    with pytest.raises(KilledError):
        runner.train()
    (row,) = train.execute(spec, env)
    whole = Runner.from_cfg(config_of(spec, env_of(tmp_path / "other", cache)))
    assert row.steps == whole.build_train_loop(whole.cfg.train_cfg).max_iters
    assert steps == [0, 1, 2]


# --- folders of other layouts ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "make", "short"),
    [
        ("detection/configs/faster_rcnn_lite0_delta.py", as_coco, {"train_cfg.max_epochs": 1}),
        ("detection/configs/faster_rcnn_lite0_delta.py", as_voc_with_png, {"train_cfg.max_epochs": 1}),
        ("segmentation/configs/deeplabv3_lite0_delta.py", as_segnet, {"train_cfg.max_iters": 2}),
        ("segmentation/configs/deeplabv3_lite0_delta.py", as_coco, {"train_cfg.max_iters": 2}),
    ],
    ids=["boxes of COCO", "boxes of VOC, PNG", "masks of SegNet, PNG", "masks of COCO"],
)
def test_a_folder_of_each_layout_is_trained_on_and_tested(
    config: str, make: Callable[[Path, Path], Path], short: dict[str, Any], cache: Path, tmp_path: Path
) -> None:
    given = Config.fromfile(ROOT / config)
    root = make(scenes_folder(cache), tmp_path / "data")
    quick = {"data.root": str(root), "heads": "narrow", "work_dir": str(tmp_path)}
    one_process = {f"{part}_dataloader.{name}": value
                   for part in ("train", "val", "test")
                   for name, value in (("num_workers", 0), ("persistent_workers", False))}  # fmt: skip
    once = {"train_dataloader.dataset.times": 1} if given.data.task == "detection" else {}
    given.merge_from_dict(quick | one_process | short | once)
    given.val_cfg = given.val_dataloader = given.val_evaluator = None
    runner = Runner.from_cfg(settled(given, environment={}))
    runner.train()
    (score,) = (value for name, value in runner.test().items() if name in ("pascal_voc/mAP", "mIoU"))
    assert 0 <= score <= 100
    assert len(runner.train_dataloader.dataset) == 8
    check_that_the_inferencer_predicts(runner, tmp_path / "seen")
    check_that_a_patch_folder_predicts(runner, tmp_path)
    other = settled(given, environment={})
    other.classes = [*other.classes[:-1], "moon"]
    other.load_from = str(next(tmp_path.glob("*_*.pth")))
    with pytest.raises(UserError, match=r"The checkpoint was trained for \d classes .* and the data have \d"):
        Runner.from_cfg(other).test()


@pytest.mark.parametrize("registry", [mmdet.registry.TRANSFORMS, mmseg.registry.TRANSFORMS], ids=["mmdet", "mmseg"])
@pytest.mark.parametrize("content", [b"", b"\xff\xd8\xff\xe0 cut off", None], ids=["empty", "cut off", "not there"])
def test_an_image_that_cannot_be_read_is_named(registry: Registry, content: bytes | None, tmp_path: Path) -> None:
    image = tmp_path / "street.jpg"
    if content is not None:
        image.write_bytes(content)
    load = registry.build({"type": "LoadImageFromFile"})
    with pytest.raises(UserError, match=r"^Image '.*street\.jpg' cannot be read \(\w+\); replace it or take it out\.$"):
        load({"img_path": str(image)})


def check_that_the_inferencer_predicts(runner: Runner, out: Path) -> None:
    """On an image, from the config that a training saved and its checkpoint, with a picture of what was found."""
    (saved,) = Path(runner.work_dir).glob("*.py")
    (checkpoint,) = Path(runner.work_dir).glob("*_*.pth")
    image = runner.test_dataloader.dataset.get_data_info(0)["img_path"]
    for name in ("DELTA_DATA", "DELTA_CACHE"):
        assert name not in saved.read_text()
    if runner.cfg.data.task == "detection":
        found = DetInferencer(str(saved), str(checkpoint), device="cpu")(image, out_dir=str(out))["predictions"][0]
        assert set(found["labels"]) <= set(range(len(runner.cfg.classes)))
    else:
        found = MMSegInferencer(str(saved), str(checkpoint), device="cpu")(image, out_dir=str(out))["predictions"]
        assert set(np.unique(found)) <= set(range(len(runner.cfg.classes)))
    assert list(out.rglob("*.png")) or list(out.rglob("*.jpg"))


def check_that_a_patch_folder_predicts(runner: Runner, folder: Path) -> None:
    (saved,) = Path(runner.work_dir).glob("*.py")
    (checkpoint,) = Path(runner.work_dir).glob("*_*.pth")
    image = Path(runner.test_dataloader.dataset.get_data_info(0)["img_path"])
    patch = to_patch(saved, checkpoint, folder / "patch")
    predict(saved, patch, [image], folder / "drawn", device="cpu")
    assert image.stem in {path.stem for path in (folder / "drawn").rglob("*.*g")}, "mmseg leaves its mask beside"
    with pytest.raises(UserError, match=r"nowhere\.png is not a file"):
        predict(saved, patch, [Path("nowhere.png")], folder / "drawn")
    (patch / HEADS).unlink()
    with pytest.raises(UserError, match=r"holds no heads\.safetensors; make the folder with tools/convert.py"):
        predict(saved, patch, [image], folder / "drawn")


@pytest.mark.parametrize("path", [path for path in CONFIGS if path.stem not in OF_TABLE_7], ids=lambda path: path.stem)
def test_every_other_detector_and_segmentor_is_trained_and_tested_with_its_patch(path: Path, tmp_path: Path) -> None:
    given = Config.fromfile(path.with_name(f"{path.stem}_delta.py"))
    long = "train_cfg.max_epochs" if given.data.task == "detection" else "train_cfg.max_iters"
    given.merge_from_dict({long: 1, "work_dir": str(tmp_path)})
    given.val_cfg = given.val_dataloader = given.val_evaluator = None
    runner = Runner.from_cfg(settled(given))
    runner.train()
    (score,) = (value for name, value in runner.test().items() if name in ("pascal_voc/mAP", "mIoU"))
    assert 0 <= score <= 100
    backbone = runner.model.backbone
    assert backbone.calibrated
    backbone.assert_frozen()


# --- converter ---------------------------------------------------------------------------------------------------


def test_a_patch_folder_and_back_gives_the_same_detector(cache: Path, tmp_path: Path) -> None:
    spec, env = run("detection", epochs=1), env_of(tmp_path, cache)
    train.execute(spec, env)
    work = work_folder(tmp_path, spec.run_id)
    checkpoint = next(work.glob("epoch_*.pth"))
    config = ROOT / spec.config
    folder = to_patch(config, checkpoint, tmp_path / "patch")
    for rest in (None, checkpoint):
        again = to_checkpoint(config, folder, tmp_path / "again.pth", rest=rest)
        first, second = (load_checkpoint_file(str(path)) for path in (checkpoint, again))
        assert first["state_dict"].keys() == second["state_dict"].keys()
        assert all(torch.equal(first["state_dict"][name], second["state_dict"][name]) for name in first["state_dict"])
        assert second["meta"]["dataset_meta"]["classes"] == list(CLASS_NAMES)
    baseline = ROOT / "detection/configs/faster_rcnn_r18.py"
    with pytest.raises(DeltaError, match=r"has no DeltaBackbone with backbone\.n_modules above 0"):
        to_patch(baseline, checkpoint, tmp_path / "other")
    with pytest.raises(DeltaError, match=r"does not fit backbone\.architecture"):
        to_patch(ROOT / "detection/configs/faster_rcnn_r34_delta.py", checkpoint, tmp_path / "other")


# --- the commands of the README ----------------------------------------------------------------------------------


def mim(folder: Path, *arguments: str) -> str:
    """Output of a command of mim, run where a user runs it."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "mim", *arguments],
        cwd=folder, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=280,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout + done.stderr


def test_mim_trains_resumes_and_tests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DELTA_DATA")
    command = ["mmdet", "configs/faster_rcnn_r18_delta.py", "--work-dir", str(tmp_path), "--cfg-options"]
    said = mim(ROOT / "detection", "train", *command, "train_cfg.max_epochs=1")
    assert "drawn scenes are taken" in said
    said = mim(ROOT / "detection", "train", *command[:-1], "--resume", "--cfg-options", "train_cfg.max_epochs=2")
    assert "Epoch(train) [1]" not in said
    trained = re.findall(r"pascal_voc/mAP: (\S+)", said)[-1]
    saved = ["mmdet", "configs/faster_rcnn_r18_delta.py", "--checkpoint", str(tmp_path / "epoch_2.pth")]
    said = mim(ROOT / "detection", "test", *saved, "--work-dir", str(tmp_path / "test"))
    assert re.findall(r"pascal_voc/mAP: (\S+)", said)[-1] == trained
