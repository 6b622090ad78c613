"""A batch whose activations do not fit is taken in parts: the same step up to rounding."""

from dataclasses import replace

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from lightning_fabric import Fabric
from tiny import RECIPE, convnext_net, tensor_split
from torch import Tensor, nn

from delta_core import DeltaConfig, DeltaModel
from delta_core.training.class_weights import WeightedCrossEntropy
from delta_core.training.engine import train_module
from delta_core.training.errors import UserError
from delta_core.training.fitting import fit

FABRIC = Fabric(accelerator="cpu", devices=1)


class Watched(nn.Module):
    """A net that remembers how many images it got at once."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.sizes: list[int] = []
        self.body = nn.Sequential(nn.Conv2d(3, 6, 3), nn.GroupNorm(2, 6), nn.GELU(), nn.AdaptiveAvgPool2d(2))
        self.head = nn.Linear(24, 3)

    def forward(self, x: Tensor) -> Tensor:
        self.sizes.append(len(x))
        return self.head(self.body(x).flatten(1))


def trained(micro_batch: int | None, *, images: int, batch_size: int) -> tuple[Watched, list[float]]:
    net, losses = Watched(), []
    recipe = replace(RECIPE, batch_size=batch_size, micro_batch=micro_batch, optimizer="sgd", lr=0.05, clip_norm=0.5)
    train_module(
        net, net.head, tensor_split(images, 3, seed=0), recipe, FABRIC, seed=1,
        on_epoch=lambda _, loss: losses.append(loss),
    )  # fmt: skip
    return net, losses


@settings(max_examples=25, deadline=None)
@given(images=st.integers(2, 23), batch_size=st.integers(1, 12), micro_batch=st.integers(1, 13))
def test_a_training_in_parts_is_that_of_whole_batches_up_to_rounding(
    images: int, batch_size: int, micro_batch: int
) -> None:
    (whole, losses), (parts, losses_in_parts) = (
        trained(size, images=images, batch_size=batch_size) for size in (None, micro_batch)
    )
    assert max(parts.sizes) <= micro_batch
    assert sum(parts.sizes) == sum(whole.sizes)
    assert losses_in_parts == pytest.approx(losses, rel=1e-5)
    for one, other in zip(whole.parameters(), parts.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_parts_of_a_batch_are_of_one_size_but_for_one_image() -> None:
    net, _ = trained(4, images=18, batch_size=9)
    assert net.sizes == [3, 3, 3] * 4


def test_a_batch_norm_that_trains_sees_the_parts() -> None:
    """Which is why the size is part of a run's identity."""
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
    train_module(net, net[4], tensor_split(16, 3, seed=0), replace(RECIPE, micro_batch=2), FABRIC, seed=1)
    assert int(net[1].num_batches_tracked) == RECIPE.epochs * 16 / 2


def test_a_loss_that_is_no_mean_over_images_is_refused() -> None:
    net = Watched()
    with pytest.raises(UserError, match=r"micro batch is 2, but .*WeightedCrossEntropy is no mean over images"):
        train_module(
            net, net.head, tensor_split(8, 3, seed=0), replace(RECIPE, micro_batch=2), FABRIC, seed=1,
            objective=WeightedCrossEntropy(torch.ones(3)),
        )  # fmt: skip


def test_fit_takes_a_patch_in_parts_and_refuses_none() -> None:
    model = DeltaModel(convnext_net())
    model.add_patch("task", num_classes=3, config=DeltaConfig(n_modules=1))
    split = tensor_split(8, 3, seed=0, size=64)
    data = (torch.as_tensor(split.inputs), split.labels)
    with pytest.raises(UserError, match="micro batch is 0"):
        fit(model, data, recipe=replace(RECIPE, micro_batch=0), device="cpu")


class Short(Watched):
    """On a device that has room for so many images at once, less than it had before from some batch on."""

    def __init__(self, room: int, *, less: int | None = None) -> None:
        super().__init__()
        self.room = room
        self.less = less

    def forward(self, x: Tensor) -> Tensor:
        if self.less is not None and len(self.sizes) >= 3:
            self.room = min(self.room, self.less)
        if len(x) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return super().forward(x)


def short(net: Watched, micro_batch: int | None = None) -> list[float]:
    losses: list[float] = []
    recipe = replace(RECIPE, batch_size=9, micro_batch=micro_batch, optimizer="sgd", lr=0.05, clip_norm=0.5)
    train_module(
        net, net.head, tensor_split(22, 3, seed=0), recipe, FABRIC, seed=1,
        on_epoch=lambda _, loss: losses.append(loss),
    )  # fmt: skip
    return losses


@settings(max_examples=20, deadline=None)
@given(room=st.integers(1, 9), less=st.integers(1, 9), micro_batch=st.sampled_from([None, 4, 9]))
@example(room=3, less=4, micro_batch=4)
@pytest.mark.filterwarnings("ignore:.*do not fit into the memory")
def test_a_device_with_little_memory_takes_the_same_steps_up_to_rounding(
    room: int, less: int, micro_batch: int | None
) -> None:
    whole, parts = Watched(), Short(room, less=less)
    assert short(parts, micro_batch) == pytest.approx(short(whole), rel=1e-5)
    assert max(parts.sizes) <= room
    for one, other in zip(whole.parameters(), parts.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_halving_is_told_once_for_each_size() -> None:
    with pytest.warns(UserWarning, match="do not fit into the memory") as told:
        short(Short(3))
    assert [str(each.message).partition(" images")[0] for each in told] == ["9", "5"]
    assert "gradients of 3 at a time are added up from here on. The batch stays 9" in str(told[1].message)


def test_one_image_that_does_not_fit_ends_the_training() -> None:
    with pytest.raises(torch.OutOfMemoryError), pytest.warns(UserWarning, match="do not fit"):
        short(Short(0))


def test_where_a_batch_norm_trains_nothing_is_halved_unasked() -> None:
    net = Short(3)
    net.body[1] = nn.BatchNorm2d(6)
    with pytest.raises(UserError, match=r"9 images do not fit .*give micro batch 5, which is a training of its own"):
        short(net)
    frozen = Short(3)
    frozen.body[1] = nn.BatchNorm2d(6)
    frozen.train = lambda *_: nn.Module.train(frozen, mode=False)  # type: ignore[method-assign]
    with pytest.warns(UserWarning, match="do not fit"):
        short(frozen)
