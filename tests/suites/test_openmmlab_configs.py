"""Configs of both toolboxes: what they settle on, and that reading them does nothing. Needs mmcv's ops."""

import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from dense_runs import CONFIGS, NETS, OF_TABLE_7, ROOT, drawn_scenes, env_of, run
from dense_world import COUNTS, tiny_cache

if find_spec("mmdet") is None or find_spec("mmcv") is None:
    pytest.skip("OpenMMLab is not installed; nox -s openmmlab makes its environment", allow_module_level=True)

from mmengine.config import Config
from mmengine.registry import MODELS

from benchmarks.suites.dense import boxes, masks, progress, slim_backbone  # noqa: F401 - register what configs name
from benchmarks.suites.dense.runner import config_of
from benchmarks.suites.dense.scenes import scenes_folder
from benchmarks.suites.dense.settled import settled


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_cache(tmp_path_factory.mktemp("cache"), *NETS)


@pytest.fixture(autouse=True)
def world(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with drawn_scenes(cache, monkeypatch):
        yield


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
