"""Features as 8-bit codes."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from delta_core.training.data.coded_features import CodedSplit, coded, coded_bytes, decoded
from delta_core.training.feature_room import FeatureRoom
from delta_core.weights import Preprocessing

CPU = torch.device("cpu")
PREPROCESSING = Preprocessing(image_size=8, crop_pct=1.0, interpolation="bicubic", mean=(0.5,) * 3, std=(0.2,) * 3)
GB = 10**9


@st.composite
def features(draw: st.DrawFn) -> Tensor:
    """Of a few images, pooled or not, channels of very different ranges among them."""
    shape = draw(st.one_of(st.tuples(st.integers(1, 9)), st.tuples(*[st.integers(1, 5)] * 3)))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**20)))
    drawn = torch.randn((draw(st.integers(1, 4)), *shape), generator=generator)
    if len(shape) == 3:
        drawn = drawn * 10 ** torch.linspace(-draw(st.integers(0, 6)), draw(st.integers(0, 6)), shape[0]).view(-1, 1, 1)
    return torch.relu(drawn) if draw(st.booleans()) else drawn + draw(st.sampled_from([0.0, -3.0, 1e4]))


@settings(deadline=None)
@given(features())
def test_a_number_is_off_by_at_most_half_a_step(original: Tensor) -> None:
    shape = tuple(original.shape[1:])
    codes = coded(original)
    assert codes.shape == (len(original), coded_bytes(shape)) and codes.dtype == torch.uint8
    back = decoded(codes, shape)
    assert back.shape == original.shape and back.dtype == torch.float32
    places = (-2, -1) if len(shape) == 3 else (-1,)
    step = (original.amax(places, keepdim=True) - original.amin(places, keepdim=True)) / 255
    rounding = 4 * torch.finfo(torch.float32).eps * original.abs().amax(places, keepdim=True)
    assert ((back - original).abs() <= step / 2 + rounding).all()


@settings(deadline=None)
@given(features())
def test_the_codes_of_an_image_depend_on_it_alone(original: Tensor) -> None:
    assert torch.equal(torch.cat([coded(image[None]) for image in original]), coded(original))


def test_what_is_equal_all_over_comes_back_as_it_was() -> None:
    flat = torch.tensor([0.0, -0.1, 3e38]).view(1, 3, 1, 1).expand(2, 3, 4, 4)
    assert torch.equal(decoded(coded(flat), (3, 4, 4)), flat)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_not_hidden(value: float) -> None:
    """The loss shall say so, as it does without codes."""
    broken = torch.ones(1, 2, 2, 2)
    broken[0, 1, 0, 0] = value
    back = decoded(coded(broken), (2, 2, 2))
    assert torch.equal(back[0, 0], broken[0, 0]) and not torch.isfinite(back[0, 1]).all()


def test_a_split_of_codes_gives_batches_channels_last_in_the_order_asked_for() -> None:
    original = torch.rand(7, 5, 3, 3, generator=torch.Generator().manual_seed(0))
    split = CodedSplit(codes=coded(original), shape=(5, 3, 3), labels=torch.arange(7), preprocessing=PREPROCESSING)
    order = torch.tensor([6, 0, 3])
    first, second = split.batches(2, device=CPU, order=order)
    assert first.is_contiguous(memory_format=torch.channels_last)
    assert torch.allclose(torch.cat([first, second]), original[order], atol=1 / 255)
    assert torch.equal(torch.cat(list(split.batches(3, device=CPU)))[order], torch.cat([first, second]))


@pytest.mark.parametrize(
    ("images", "free_gb", "place", "told"),
    [
        (1000, 10, "disk", "0.80 GB in float32, kept on disk until the end (10.0 GB of disk are free)."),
        (1000, 0.8, "memory", "0.80 GB in float32, kept in memory, since 0.8 GB of disk are free."),
        (30_000, 100, "nowhere", "6.04 GB in uint8 would be kept (--feature-dtype uint8)."),
        (5000, 0, "nowhere", "1.01 GB in uint8 would be kept (--feature-dtype uint8)."),
        (200_000, 9, "nowhere", "since 9.0 GB of disk are free, of at most 20 GB used."),
    ],
)
def test_features_go_where_there_is_room_and_say_so(images: int, free_gb: float, place: str, told: str) -> None:
    room = FeatureRoom(images=images, shape=(64, 56, 56), dtype="float32", free_disk_bytes=int(free_gb * GB))
    assert room.place == place
    assert str(room).startswith(f"Features: {images} images of 64 x 56 x 56, ") and str(room).endswith(told)
