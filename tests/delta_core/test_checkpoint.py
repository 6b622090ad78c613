"""Training does not depend on who watches it, nor on being killed between two steps."""

import os
import signal
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lightning_fabric import Fabric
from tiny import PREPROCESSING, RECIPE, images, tensor_split
from torch import Tensor, nn
from torchvision.transforms import v2

from delta_core.training import checkpoint as checkpoint_module
from delta_core.training.callback import Callback
from delta_core.training.checkpoint import Checkpoint, LoopState, Position
from delta_core.training.data.splits import LazySplit, Split
from delta_core.training.engine import OnEpoch, train_module
from delta_core.training.errors import UserError
from delta_core.training.interrupts import Interrupted, interruptible
from delta_core.training.ranks import Ranks

FABRIC = Fabric(accelerator="cpu", devices=1)
RECIPE3 = replace(RECIPE, epochs=3)


class Pictures(torch.utils.data.Dataset[tuple[Tensor, int]]):
    def __len__(self) -> int:
        return 20

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return images(1, 16, seed=index)[0].mul(50).add(100).to(torch.uint8), index % 3


def fresh_views() -> Split:
    """Random crops, others in every epoch."""
    view = v2.RandomResizedCrop(16, scale=(0.3, 1.0))
    return LazySplit(
        images=Pictures(), labels=torch.arange(20) % 3, transform=view, preprocessing=PREPROCESSING
    )  # fmt: skip


def fixed_views() -> Split:
    return tensor_split(20, 3, seed=0)


def net() -> nn.Module:
    """With a BatchNorm, whose statistics are state too, and one frozen layer."""
    torch.manual_seed(5)
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 4), nn.Linear(4, 3)
    )
    model[4].requires_grad_(False)
    return model


def trained(
    split: Split,
    model: nn.Module | None = None,
    *,
    on_epoch: OnEpoch | None = None,
    checkpoint: Path | Checkpoint | None = None,
    fabric: Fabric = FABRIC,
) -> dict[str, Tensor]:
    model = model or net()
    kept = Checkpoint(path=checkpoint) if isinstance(checkpoint, Path) else checkpoint
    train_module(model, model[5], split, RECIPE3, fabric, seed=7, on_epoch=on_epoch, checkpoint=kept)  # type: ignore[index]
    return model.state_dict()


def assert_same(left: dict[str, Tensor], right: dict[str, Tensor]) -> None:
    assert [name for name in left if not torch.equal(left[name], right[name])] == []


SPLITS = pytest.mark.parametrize("split", [fixed_views, fresh_views])


@SPLITS
def test_the_bits_do_not_depend_on_the_callback(split: Callable[[], Split]) -> None:
    heard: list[tuple[int, float]] = []

    def on_epoch(epoch: int, loss: float) -> None:
        heard.append((epoch, loss))
        torch.rand(epoch)

    assert_same(trained(split()), trained(split(), on_epoch=on_epoch))
    assert [epoch for epoch, _ in heard] == [1, 2, 3]
    assert all(loss > 0 for _, loss in heard)


def test_the_loss_is_the_mean_over_the_images() -> None:
    """At learning rate 0 every epoch sees the same net, so its loss is that of all images at once."""
    heard: list[float] = []
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 3))
    split = fixed_views()
    still = replace(RECIPE3, lr=0.0, head_lr=0.0)
    train_module(model, model[1], split, still, FABRIC, seed=7, on_epoch=lambda _, loss: heard.append(loss))
    everything = next(split.batches(20, device=torch.device("cpu")))
    expected = nn.functional.cross_entropy(model(everything), split.labels).item()
    assert heard == pytest.approx([expected] * 3, rel=1e-5)


@SPLITS
@pytest.mark.parametrize("killed_after", [1, 2, 3])
def test_a_killed_training_goes_on_bit_for_bit(split: Callable[[], Split], killed_after: int, tmp_path: Path) -> None:
    def kill(epoch: int, _: float) -> None:
        if epoch == killed_after:
            raise KeyboardInterrupt

    checkpoint = tmp_path / "partial" / "run.pt"
    with pytest.raises(KeyboardInterrupt):
        trained(split(), on_epoch=kill, checkpoint=checkpoint)
    heard: list[int] = []
    torch.manual_seed(99)
    resumed = trained(split(), on_epoch=lambda epoch, _: heard.append(epoch), checkpoint=checkpoint)
    assert heard == list(range(killed_after + 1, 4))
    assert_same(trained(split()), resumed)


class InterruptedAt(Callback):
    """Lets a signal come in the middle of a training, as from a person or a scheduler."""

    def __init__(self, step: int, number: signal.Signals) -> None:
        self.steps = 0
        self.at = step
        self.number = number

    def on_step(self, loss: Tensor, lr: float) -> None:  # noqa: ARG002
        self.steps += 1
        if self.steps == self.at:
            signal.raise_signal(self.number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@given(step=st.integers(1, 9), second=st.integers(1, 9))
@settings(max_examples=6, deadline=None)
def test_a_signal_waits_for_its_step_and_costs_nothing(
    tmp_path_factory: pytest.TempPathFactory, number: signal.Signals, step: int, second: int
) -> None:
    """Three epochs of three steps each; the state that is written at a signal is that after its step."""
    expected, kept = trained(dropping_views(), dropping()), Checkpoint(path=tmp_path_factory.mktemp("run") / "run.pt")
    done = 0
    for stop in (step, second):
        if done + stop > 9:
            continue
        before = signal.getsignal(number)
        callback = InterruptedAt(stop, number)
        fabric = Fabric(accelerator="cpu", devices=1, callbacks=[callback])
        with interruptible(), pytest.raises(Interrupted) as ended:
            trained(dropping_views(), dropping(), checkpoint=kept, fabric=fabric)
        assert ended.value.exit_code == 128 + number
        signal.signal(number, before)
        done += stop
        position = torch.load(kept.path, weights_only=True)["position"]
        assert (position["epoch"], position["step"]) == divmod(done, 3)
        torch.manual_seed(99)
    assert_same(trained(dropping_views(), dropping(), checkpoint=kept), expected)


def dropping() -> nn.Module:
    """A net that draws random numbers in every step."""
    model = net()
    model[3] = nn.Sequential(nn.Flatten(), nn.Dropout(0.5))  # type: ignore[index]
    return model


def dropping_views() -> Split:
    return replace(fresh_views(), workers=0)


def test_a_state_is_written_in_the_middle_of_an_epoch_when_it_is_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At 40 s a step and 100 s between: after steps 3, 6 and 9, which are ends of epochs only by chance."""
    now = [0.0]
    monkeypatch.setattr(checkpoint_module.time, "monotonic", lambda: now[0])
    written: list[tuple[int, int]] = []
    save = LoopState.save

    def noting(self: LoopState, path: Path, position: Position, **options: object) -> None:
        written.append((position.epoch, position.step))
        save(self, path, position, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(LoopState, "save", noting)

    class Clock(Callback):
        def on_step(self, loss: Tensor, lr: float) -> None:  # noqa: ARG002
            now[0] += 40

    fabric = Fabric(accelerator="cpu", devices=1, callbacks=[Clock()])
    kept = Checkpoint(path=tmp_path / "run.pt", every_s=70, each_epoch=False)
    trained(fixed_views(), checkpoint=kept, fabric=fabric)
    assert written == [(0, 2), (1, 1), (2, 0), (2, 2), (3, 0)], "every second step, and the end"


def test_frozen_parameters_stay_out_of_the_file_and_as_they_are(tmp_path: Path) -> None:
    trained(fixed_views(), checkpoint=tmp_path / "run.pt")
    names = torch.load(tmp_path / "run.pt", weights_only=True)["module"]
    assert {"0.weight", "1.running_mean", "5.bias"} <= set(names)
    assert "4.weight" not in names
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run.pt"]


def test_a_checkpoint_that_does_not_fit_is_told_in_one_sentence(tmp_path: Path) -> None:
    checkpoint = tmp_path / "run.pt"
    trained(fixed_views(), checkpoint=checkpoint)
    other = nn.Sequential(nn.Flatten(), *(nn.Identity() for _ in range(4)), nn.Linear(3 * 16 * 16, 3))
    with pytest.raises(UserError, match="delete it to start anew") as caught:
        trained(fixed_views(), other, checkpoint=checkpoint)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [slice(100), slice(0), slice(-9)], ids=["its start", "nothing", "all but its end"])
def test_a_damaged_checkpoint_is_put_aside_and_the_training_starts_anew(content: slice, tmp_path: Path) -> None:
    checkpoint = tmp_path / "run.pt"
    expected = trained(fixed_views(), checkpoint=checkpoint)
    damaged = checkpoint.read_bytes()[content]
    checkpoint.write_bytes(damaged)
    with pytest.warns(UserWarning, match=r"run\.pt' is damaged: kept as 'run\.pt\.damaged', training starts anew"):
        assert_same(trained(fixed_views(), checkpoint=checkpoint), expected)
    assert (tmp_path / "run.pt.damaged").read_bytes() == damaged
    with warnings.catch_warnings(action="error"):
        assert_same(trained(fixed_views(), checkpoint=checkpoint), expected)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state after an epoch in a folder of its own."""
    checkpoint = tmp_path_factory.mktemp("saved") / "run.pt"
    loop().save(checkpoint, Position(epoch=1), shuffle=torch.Generator().manual_seed(1).get_state())
    return checkpoint


def loop() -> LoopState:
    model = nn.Linear(3, 2, bias=False)
    nn.init.ones_(model.weight)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return LoopState(
        module=model,
        optimizer=optimizer,
        schedule=torch.optim.lr_scheduler.LambdaLR(optimizer, lambda _: 1.0),
        shuffle=torch.Generator().manual_seed(1),
        precision=FABRIC.strategy.precision,
        device=FABRIC.device,
        ranks=Ranks.behind(FABRIC),
    )


def test_what_a_killed_writer_left_goes_and_no_other_file(tmp_path: Path) -> None:
    names = (".run.pt.1a.tmp", ".mine.tmp", "run.tmp")
    for name in names:
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (0, 0))
    trained(fixed_views(), checkpoint=tmp_path / "run.pt")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".mine.tmp", "run.pt", "run.tmp"]


@given(share=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
@settings(max_examples=300, deadline=None)
@pytest.mark.filterwarnings("ignore:Checkpoint")
def test_no_flipped_bit_changes_what_a_training_goes_on_from(saved: Path, share: float, bit: int) -> None:
    content = bytearray(saved.read_bytes())
    content[int(share * len(content))] ^= 1 << bit
    damaged = saved.with_name("damaged.pt")
    damaged.write_bytes(content)
    resumed = loop()
    position = resumed.load(damaged)
    if position.epoch:
        whole = loop()
        assert position == whole.load(saved)
        assert_same(resumed.module.state_dict(), whole.module.state_dict())
        assert torch.equal(resumed.shuffle.get_state(), whole.shuffle.get_state())
        assert resumed.optimizer.state_dict() == whole.optimizer.state_dict()
        assert resumed.schedule.state_dict() == whole.schedule.state_dict()
