"""Detectors and segmentors on folders of each layout, by every config, and the commands of mim. Needs mmcv's ops."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dense_runs import CONFIGS, NETS, OF_TABLE_7, ROOT, drawn_scenes
from dense_world import as_coco, as_segnet, as_voc_with_png, tiny_cache

if find_spec("mmdet") is None or find_spec("mmcv") is None:
    pytest.skip("OpenMMLab is not installed; nox -s openmmlab makes its environment", allow_module_level=True)

import mmdet.registry
import mmseg.registry
from mmdet.apis import DetInferencer
from mmengine.config import Config
from mmengine.registry import Registry
from mmengine.runner import Runner
from mmseg.apis import MMSegInferencer

sys.path.append(str(Path(__file__).parents[2] / "tools"))
from convert import HEADS, to_patch
from predict import predict

from benchmarks.suites.dense import boxes, masks, progress, slim_backbone  # noqa: F401 - register what configs name
from benchmarks.suites.dense.scenes import scenes_folder
from benchmarks.suites.dense.settled import settled
from delta_core.training.errors import UserError


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_cache(tmp_path_factory.mktemp("cache"), *NETS)


@pytest.fixture(autouse=True)
def world(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with drawn_scenes(cache, monkeypatch):
        yield


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
    # What --show-dir asks for; by a visualizer of this test, as mmengine keeps one of each name.
    drawing = {"default_hooks.visualization.draw": True, "visualizer.name": str(tmp_path)}
    given.merge_from_dict(quick | one_process | short | once | drawing)
    given.val_cfg = given.val_dataloader = given.val_evaluator = None
    runner = Runner.from_cfg(settled(given, environment={}))
    runner.train()
    (score,) = (value for name, value in runner.test().items() if name in ("pascal_voc/mAP", "mIoU"))
    assert 0 <= score <= 100
    assert len(runner.train_dataloader.dataset) == 8
    assert len(list(tmp_path.rglob("vis_image/*.png"))) == len(runner.test_dataloader.dataset)
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
