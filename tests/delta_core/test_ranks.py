"""A run that several processes share is the run of one alone, up to rounding, and equal in all of them."""

import math
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from lightning_fabric import Fabric
from shared_run import on_ranks
from shared_training import NETS, Trained, train
from workers import spawned

from delta_core import backbone_fingerprint
from delta_core.training.errors import UserError
from delta_core.training.ranks import Ranks

ALONE = Fabric(accelerator="cpu", devices=1)
ROUNDING = 1e-9
"""Relative and absolute bound on what dealing changes in double precision, after two epochs."""


def ranks_of(world_size: int) -> list[Ranks]:
    return [Ranks(number=number, world_size=world_size) for number in range(world_size)]


@given(images=st.integers(1, 40), world_size=st.integers(1, 5), parts=st.integers(1, 6))
def test_each_image_of_a_batch_counts_once(images: int, world_size: int, parts: int) -> None:
    batch = torch.randperm(100)[:images]
    parts = min(parts, images)
    ranks = ranks_of(world_size)
    weight = dict.fromkeys(batch.tolist(), 0.0)
    for each in ranks:
        left = each.share_of(batch, parts)
        for share in each.shares(images, parts):
            own, left = left[: share.images], left[share.images :]
            assert len(own), "a process without images would train on nothing"
            for place in own.tolist():
                weight[place] += share.weight / len(own) / world_size
        assert not len(left)
    assert list(weight.values()) == pytest.approx([1 / images] * images)


@given(images=st.integers(1, 40), world_size=st.integers(1, 5))
def test_only_a_part_with_fewer_images_than_processes_is_not_dealt(images: int, world_size: int) -> None:
    for each in ranks_of(world_size):
        (share,) = each.shares(images, 1)
        assert share.is_dealt == (images >= world_size > 1)
        assert share.images in ({images // world_size, math.ceil(images / world_size)} if share.is_dealt else {images})


@pytest.fixture(scope="module")
def pool() -> Iterator[ProcessPoolExecutor]:
    with spawned(3) as processes:
        yield processes


def assert_close(shared: list[Trained], alone: Trained) -> None:
    """All of a shared run are equal, bit for bit, and close to the run of one process."""
    for other in shared:
        assert other.losses == shared[0].losses
        assert not [name for name in alone.state if not torch.equal(other.state[name], shared[0].state[name])]
        assert torch.equal(other.logits, shared[0].logits)
    assert shared[0].losses == pytest.approx(alone.losses, rel=1e-5), "summed in single precision"
    assert shared[0].steps == alone.steps
    for name, tensor in alone.state.items():
        difference = (shared[0].state[name].double() - tensor.double()).abs().max().item()
        assert difference <= ROUNDING * (1 + tensor.double().abs().max().item()), name


@settings(max_examples=25, deadline=None)
@given(
    net=st.sampled_from(["plain", "batch_norm", "patched"]),
    images=st.integers(2, 17),
    batch_size=st.integers(2, 9),
    micro_batch=st.sampled_from([None, 2, 3, 5]),
    world_size=st.sampled_from([2, 3]),
)
@example(net="batch_norm", images=9, batch_size=8, micro_batch=None, world_size=2)  # a last batch of one image
@example(net="batch_norm", images=15, batch_size=8, micro_batch=4, world_size=3)  # parts of four, and of three
def test_a_shared_training_is_that_of_one_process_up_to_rounding(
    pool: ProcessPoolExecutor, net: str, images: int, batch_size: int, micro_batch: int | None, world_size: int
) -> None:
    changes: dict[str, object] = {"batch_size": batch_size, "micro_batch": micro_batch}
    shared = on_ranks(pool, world_size, train, net, changes, images)
    alone = train(ALONE, net, changes, images)
    assert_close(shared, alone)


def test_activations_inside_a_batch_norm_are_kept(pool: ProcessPoolExecutor) -> None:
    changes: dict[str, object] = {"batch_size": 6}
    shared = on_ranks(pool, 2, train, "batch_norm_act", changes, 8)
    assert_close(shared, train(ALONE, "batch_norm_act", changes, 8))


def test_work_is_dealt_and_the_frozen_net_stays_in_every_process(pool: ProcessPoolExecutor) -> None:
    shared = on_ranks(pool, 2, train, "patched", {"batch_size": 4}, 16)
    assert [each.images for each in shared] == [16, 16], "two epochs of half of the images"
    untouched = backbone_fingerprint(NETS["patched"]().net.backbone)  # type: ignore[arg-type]
    assert [each.backbone for each in shared] == [untouched] * 2


@pytest.mark.parametrize("at", [2, 4, 5])
def test_a_signal_to_one_of_them_ends_all_at_one_step_and_they_go_on_to_the_same_bits(
    pool: ProcessPoolExecutor, tmp_path: Path, at: int
) -> None:
    changes: dict[str, object] = {"batch_size": 6}
    whole = on_ranks(pool, 2, train, "batch_norm", changes, 22)
    checkpoint = tmp_path / "run.pt"
    ended = on_ranks(pool, 2, train, "batch_norm", changes, 22, checkpoint, at)
    assert [each.interrupted for each in ended] == [False, True], "who got no signal returns as if it had ended"
    assert ended[0].steps == at
    resumed = on_ranks(pool, 2, train, "batch_norm", changes, 22, checkpoint)
    for one, other in zip(whole, resumed, strict=True):
        assert [name for name in one.state if not torch.equal(one.state[name], other.state[name])] == []
        assert one.losses[-len(other.losses) :] == other.losses


def test_another_number_of_processes_is_refused(pool: ProcessPoolExecutor, tmp_path: Path) -> None:
    changes: dict[str, object] = {"batch_size": 6}
    on_ranks(pool, 2, train, "plain", changes, 12, tmp_path / "run.pt")
    with pytest.raises(UserError, match="is of a training on 2 devices, and this one has 1; go on with as many"):
        train(ALONE, "plain", changes, 12, tmp_path / "run.pt")
    with pytest.raises(UserError, match="is of a training on 2 devices, and this one has 3"):
        on_ranks(pool, 3, train, "plain", changes, 12, tmp_path / "run.pt")


@pytest.mark.parametrize("world_size", [2, 3])
def test_logits_are_those_of_one_process_to_the_bit(pool: ProcessPoolExecutor, world_size: int) -> None:
    untrained = {"batch_size": 6, "epochs": 0}
    alone = train(ALONE, "batch_norm", untrained, 12)
    for each in on_ranks(pool, world_size, train, "batch_norm", untrained, 12):
        assert torch.equal(each.logits, alone.logits)
