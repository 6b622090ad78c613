"""Callbacks hear what a training does and change none of its bits; event files hold what the history says."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from tiny import RECIPE, basic_block_net, tensor_split, tiny_task
from torch import Tensor, nn

from delta_core import DeltaConfig, DeltaModel
from delta_core.patch import BlockPatch
from delta_core.training import Callback, DivergedError, Epoch, FitResult, TensorBoardLog, UserError, fit
from delta_core.training.engine import rate_factor, train_module
from delta_core.training.fabric import make_fabric

pytest.importorskip("tensorboard")  # of an extra
from event_files import scalars_in
from tensorboard.summary.writer import event_file_writer

RECIPE3 = replace(RECIPE, epochs=3, warmup_steps=2, warmup_share=1.0)
TRAIN, VAL = tiny_task().train, tiny_task().val
STEPS = 3 * 3
"""24 images in batches of 8, three times."""


def fitted(callbacks: list[Callback], config: DeltaConfig | None = None, **options: object) -> tuple[Tensor, FitResult]:
    """All trained numbers of a patch in one row, and the result."""
    model = DeltaModel(basic_block_net())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model.add_patch(
            "pets", num_classes=3, config=config or DeltaConfig(n_modules=2), preprocessing=VAL.preprocessing
        )
    data = [(split.inputs, split.labels) for split in (TRAIN, VAL)]
    result = fit(model, *data, **{"recipe": RECIPE3, "device": "cpu", "callbacks": callbacks} | options)  # type: ignore[arg-type]
    return torch.cat([tensor.flatten().double() for tensor in model.patch().state_dict().values()]), result


class Killer(Callback):
    """Breaks a training off at a call of a hook, counted from 1."""

    def __init__(self, hook: str, number: int) -> None:
        self.left = number
        setattr(self, hook, self.count)

    def count(self, *_: object) -> None:
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt


class Recorder(Callback):
    """Keeps all that it hears, with the gates of each pass in train mode, and draws random numbers meanwhile."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.losses: list[float] = []
        self.lrs: list[float] = []
        self.gates: list[list[Tensor]] = []
        self.epochs: list[Epoch] = []
        self.started_after = -1

    def on_start(self, module: nn.Module, steps: int) -> None:
        self.hear("start")
        assert module.training
        self.started_after = steps
        self.parts = [part for part in module.modules() if isinstance(part, BlockPatch)]
        for part in self.parts:
            part.gates.register_forward_hook(self.keep)

    def keep(self, module: nn.Module, _inputs: object, gates: Tensor) -> None:
        if module.training:
            self.gates[-1].append(gates.detach().double().flatten())

    def on_step(self, loss: Tensor, lr: float) -> None:
        self.hear("step")
        self.losses.append(loss.item())
        self.lrs.append(lr)

    def on_epoch(self, epoch: Epoch) -> None:
        self.hear("epoch")
        self.epochs.append(epoch)

    def on_end(self) -> None:
        self.hear("end")

    def hear(self, hook: str) -> None:
        torch.rand(5)
        self.heard.append(hook)
        if hook in ("start", "epoch"):
            self.gates.append([])


def test_a_callback_hears_all_that_the_history_has() -> None:
    recorder = Recorder()
    _, result = fitted([recorder])
    assert recorder.heard == ["start", *3 * [*3 * ["step"], "epoch"], "end"]
    assert recorder.started_after == 0
    assert tuple(recorder.epochs) == result.history
    assert recorder.lrs == pytest.approx([RECIPE.lr * rate_factor(step, STEPS, RECIPE3) for step in range(STEPS)])


def test_random_numbers_of_callbacks_reach_no_training(tmp_path: Path) -> None:
    def trained(*callbacks: Callback) -> Tensor:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(5)
            net = nn.Sequential(nn.Flatten(), nn.Dropout(), nn.Linear(3 * 16 * 16, 3))
            train_module(net, net[2], TRAIN, RECIPE3, make_fabric("cpu", "32-true", callbacks), seed=1)
        return net[2].weight.detach()

    silent = trained()
    for callbacks in ([Recorder()], [TensorBoardLog(tmp_path)], [Recorder(), TensorBoardLog(tmp_path)]):
        assert torch.equal(trained(*callbacks), silent)


def test_a_training_that_is_broken_off_is_told_to_be_over() -> None:
    recorder = Recorder()
    with pytest.raises(KeyboardInterrupt):
        fitted([recorder, Killer("on_step", 2)])
    assert recorder.heard == ["start", "step", "step", "end"]


# --- event files -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("config", [DeltaConfig(n_modules=2), DeltaConfig.paper(n_modules=2)], ids=["maps", "paper"])
def test_the_log_holds_the_numbers_of_the_training(config: DeltaConfig, tmp_path: Path) -> None:
    silent, _ = fitted([], config=config)
    recorder = Recorder()
    logged, result = fitted([recorder, TensorBoardLog(tmp_path)], config=config)
    assert torch.equal(logged, silent)
    found = scalars_in(tmp_path)
    blocks = [part.block.name for part in recorder.parts]
    assert set(found) == {
        "loss/step", "loss/epoch", "lr", "val/top1",
        *(f"gates/{what}/{block}" for what in ("mean", "sd") for block in blocks),
    }  # fmt: skip
    assert len(blocks) == 2
    ends = [3, 6, 9]
    assert found["loss/step"] == in_single(range(1, STEPS + 1), recorder.losses)
    assert found["lr"] == in_single(range(1, STEPS + 1), recorder.lrs)
    assert found["loss/epoch"] == in_single(ends, [epoch.train_loss for epoch in result.history])
    assert found["val/top1"] == in_single(ends, [epoch.val_top1 for epoch in result.history])
    for number, block in enumerate(blocks):
        seen = [torch.cat(epoch[number :: len(blocks)]) for epoch in recorder.gates[:3]]
        assert [len(gates) for gates in seen] == 3 * [len(seen[0])]
        assert [step for step, _ in found[f"gates/mean/{block}"]] == ends
        assert values(found[f"gates/mean/{block}"]) == pytest.approx([gates.mean().item() for gates in seen], abs=1e-6)
        spreads = [gates.std(correction=0).item() for gates in seen]
        assert values(found[f"gates/sd/{block}"]) == pytest.approx(spreads, rel=1e-5)


def in_single(steps: object, numbers: list[float]) -> list[tuple[int, float]]:
    return list(zip(steps, torch.tensor(numbers).tolist(), strict=True))  # type: ignore[call-overload]


def values(scalars: list[tuple[int, float]]) -> list[float]:
    return [value for _, value in scalars]


@pytest.mark.parametrize(
    ("killer", "kept"),
    [
        (lambda: Killer("on_step", 5), 3),
        (lambda: Killer("on_epoch", 2), 3),
        (lambda: Killer("on_step", 7), 6),
    ],
    ids=["in epoch 2", "before epoch 2 is kept", "in epoch 3"],
)
def test_a_resumed_training_goes_on_in_the_same_log(killer: Callable[[], Killer], kept: int, tmp_path: Path) -> None:
    whole, _ = fitted([TensorBoardLog(tmp_path / "whole")])
    state, folder = tmp_path / "state.pt", tmp_path / "log"
    with pytest.raises(KeyboardInterrupt):
        fitted([TensorBoardLog(folder), killer()], checkpoint=state)
    assert max(step for step, _ in scalars_in(folder)["loss/step"]) > kept
    recorder = Recorder()
    resumed, _ = fitted([recorder, TensorBoardLog(folder)], checkpoint=state)
    assert recorder.started_after == kept
    assert torch.equal(resumed, whole)
    assert scalars_in(folder) == scalars_in(tmp_path / "whole")
    for scalars in scalars_in(folder).values():
        assert all(before < after for (before, _), (after, _) in pairwise(scalars))
    fitted([TensorBoardLog(folder)], checkpoint=state)
    assert scalars_in(folder) == scalars_in(tmp_path / "whole"), "it is all there"


def test_a_training_that_begins_anew_hides_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within one second, too, in which the tenth file of a process comes before the ninth by its name."""
    monkeypatch.setattr(event_file_writer, "_global_uid", event_file_writer.AtomicCounter(9))
    for losses in ((1.0, 2.0, 3.0), (4.0, 5.0)):
        log = TensorBoardLog(tmp_path)
        log.on_start(nn.Identity(), 0)
        for loss in losses:
            log.on_step(torch.tensor(loss), 0.5)
        log.on_end()
    assert scalars_in(tmp_path) == {"loss/step": [(1, 4.0), (2, 5.0)], "lr": [(1, 0.5), (2, 0.5)]}


def test_a_second_training_with_one_log_lies_inside(tmp_path: Path) -> None:
    log = TensorBoardLog(tmp_path / "log")
    fitted([log])
    fitted([log], recipe=RECIPE)
    assert [len(scalars_in(tmp_path / "log" / place)["loss/step"]) for place in ("", "training-2")] == [9, 6]


def test_losses_are_written_on_the_way_and_up_to_the_end_of_one_that_diverged(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 3))
    nn.init.constant_(net[1].weight, torch.nan)
    seen: list[int] = []

    class Look(Callback):
        def on_step(self, *_: object) -> None:
            seen.append(len(scalars_in(tmp_path).get("loss/step", [])))

    fabric = make_fabric("cpu", "32-true", [TensorBoardLog(tmp_path), Look()])
    with pytest.raises(DivergedError):
        train_module(net, net[1], tensor_split(120, 3, seed=0), replace(RECIPE, batch_size=1), fabric, seed=1)
    assert [seen[step] for step in (48, 49, 98, 99, 119)] == [0, 50, 50, 100, 100]
    assert len(scalars_in(tmp_path)["loss/step"]) == 120


@pytest.mark.parametrize("broken_off", [False, True])
def test_no_hook_stays_in_the_net(broken_off: bool, tmp_path: Path) -> None:
    parts: list[BlockPatch] = []

    class Keep(Callback):
        def on_start(self, module: nn.Module, _steps: int) -> None:
            parts.extend(part for part in module.modules() if isinstance(part, BlockPatch))
            assert all(part.gates._forward_hooks for part in parts)

    callbacks = [TensorBoardLog(tmp_path), Keep()]
    if broken_off:
        with pytest.raises(KeyboardInterrupt):
            fitted([*callbacks, Killer("on_step", 2)])
    else:
        fitted(callbacks)
    assert parts
    assert not any(part.gates._forward_hooks for part in parts)


# --- refusals ----------------------------------------------------------------------------------------------------


def test_without_tensorboard_a_log_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("delta_core.training.tensorboard_log.find_spec", lambda _: None)
    with pytest.raises(UserError, match=r"package tensorboard is missing.*pip install 'delta-patching\[log\]'") as told:
        TensorBoardLog(tmp_path / "log")
    assert "\n" not in str(told.value)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for place in (tmp_path / "file", tmp_path / "file" / "log"):
        with pytest.raises(UserError, match=r"file' cannot|log' cannot be written into .*file'; give another"):
            TensorBoardLog(place)
