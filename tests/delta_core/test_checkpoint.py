"""Training does not depend on who watches it, nor on being killed between two epochs."""

import os
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

from delta_core.training.checkpoint import LoopState
from delta_core.training.data.splits import LazySplit, Split
from delta_core.training.engine import OnEpoch, train_module
from delta_core.training.errors import UserError

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
    split: Split, model: nn.Module | None = None, *, on_epoch: OnEpoch | None = None, checkpoint: Path | None = None
) -> dict[str, Tensor]:
    model = model or net()
    train_module(model, model[5], split, RECIPE3, FABRIC, seed=7, on_epoch=on_epoch, checkpoint=checkpoint)  # type: ignore[index]
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
    loop().save(checkpoint, epoch=1)
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
    if epoch := resumed.load(damaged):
        whole = loop()
        assert epoch == whole.load(saved)
        assert_same(resumed.module.state_dict(), whole.module.state_dict())
        assert torch.equal(resumed.shuffle.get_state(), whole.shuffle.get_state())
        assert resumed.optimizer.state_dict() == whole.optimizer.state_dict()
        assert resumed.schedule.state_dict() == whole.schedule.state_dict()
