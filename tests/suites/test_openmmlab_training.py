"""Detector and segmentor of Table 7: train, log, go on, convert. Needs mmcv's ops."""

import itertools
import re
import sys
import types
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from dense_runs import NETS, ROOT, drawn_scenes, env_of, run
from dense_world import tiny_cache
from event_files import scalars_in

if find_spec("mmdet") is None or find_spec("mmcv") is None:
    pytest.skip("OpenMMLab is not installed; nox -s openmmlab makes its environment", allow_module_level=True)

from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner

sys.path.append(str(Path(__file__).parents[2] / "tools"))
from convert import to_checkpoint, to_patch

from benchmarks.records.collected import collect
from benchmarks.records.record_files import write_record
from benchmarks.run_log import log_folder
from benchmarks.suites.dense import boxes, masks, progress, slim_backbone  # noqa: F401 - register what configs name
from benchmarks.suites.dense import runner as train
from benchmarks.suites.dense.runner import config_of, pictures_path, work_folder
from benchmarks.suites.dense.scenes import CLASS_NAMES
from benchmarks.suites.dense.settled import settled
from delta_core import DeltaError
from delta_core.openmmlab import load_checkpoint_file
from delta_core.training.callback import Callback


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_cache(tmp_path_factory.mktemp("cache"), *NETS)


@pytest.fixture(autouse=True)
def world(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with drawn_scenes(cache, monkeypatch):
        yield


# --- training ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arm", range(5), ids=["baseline", "delta", "gates alone", "paper's reading", "stock"])
@pytest.mark.parametrize("kind", ["detection", "segmentation"])
def test_a_run_trains_tests_and_leaves_the_base_alone(kind: str, arm: int, cache: Path, tmp_path: Path) -> None:
    spec = run(kind, arm, epochs=1)
    row, *parts = train.execute(spec, env_of(tmp_path, cache))
    write_record(tmp_path, [row, *parts])
    assert len(collect(tmp_path)) == 1 + len(parts), "the rows fit the schema"
    classes = [part.value for part in parts if part.column.startswith(f"{kind}/class/")]
    assert np.mean(classes) == pytest.approx(row.value, abs=0.005), "mmseg rounds"
    sizes = {part.column for part in parts} - {f"{kind}/class/{name}" for name in [*CLASS_NAMES, "background"]}
    assert sizes == ({"detection/size/small", "detection/size/medium"} if kind == "detection" else set())
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
    silent, *_ = train.execute(spec, env_of(tmp_path / "silent", cache))
    row, *_ = train.execute(spec, replace(env_of(tmp_path / "logged", cache), log_dir=tmp_path / "logs"))
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


@pytest.mark.parametrize(
    ("kind", "arm", "factor"),
    [
        ("detection", 1, 1.0),
        ("segmentation", 1, 0.3),
        ("segmentation", 2, 1.0),
        ("segmentation", 3, 0.1),
        ("segmentation", 4, 1.0),
    ],
    ids=["detection", "segmentation", "gates alone", "paper", "stock"],
)
def test_what_trains_in_the_backbone_learns_at_its_factor_of_the_heads_rate(
    kind: str, arm: int, factor: float, cache: Path, tmp_path: Path
) -> None:
    runner = Runner.from_cfg(config_of(run(kind, arm), env_of(tmp_path, cache)))
    wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    inside = {id(parameter) for parameter in runner.model.backbone.parameters()}
    rates: dict[bool, set[float]] = {True: set(), False: set()}
    for group in wrapper.optimizer.param_groups:
        for parameter in group["params"]:
            rates[id(parameter) in inside].add(group["lr"])
    (of_heads,) = rates[False]
    assert rates[True] == {factor * of_heads}


@pytest.mark.parametrize("kind", ["detection", "segmentation"])
def test_a_config_trains_its_patch_at_the_rate_of_table_7(kind: str, cache: Path, tmp_path: Path) -> None:
    spec = run(kind)
    ours = config_of(spec, env_of(tmp_path, cache)).optim_wrapper.paramwise_cfg
    assert settled(Config.fromfile(ROOT / spec.config)).optim_wrapper.get("paramwise_cfg") == ours


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
    row, *_ = train.execute(spec, env)
    whole = Runner.from_cfg(config_of(spec, env_of(tmp_path / "other", cache)))
    assert row.steps == whole.build_train_loop(whole.cfg.train_cfg).max_iters
    assert steps == [0, 1, 2]


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
