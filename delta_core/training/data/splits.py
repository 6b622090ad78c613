"""A split as a stream of batches that are ready for a net, whether it sits in memory or is read from disk.

Shape legend: N images, B batch, S size in pixels.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from delta_core.training.identity import derive_seed
from delta_core.weights import Preprocessing

MEMORY_LIMIT_MB = 2048
"""Splits whose decoded images need more than this stay on disk and are decoded batch by batch; features for which no
folder is named are kept up to as much."""


class Split(Protocol):
    """Labelled inputs, in an order of the caller's choice."""

    @property
    def labels(self) -> Tensor:
        """Class indices (N,)."""

    @property
    def preprocessing(self) -> Preprocessing:
        """Size and normalisation of the images behind the inputs."""

    def batches(self, batch_size: int, *, device: torch.device, order: Tensor | None = None) -> Iterator[Tensor]:
        """Inputs (B, ...) float32, ready for a net, in the given order of indices (N,), else in stored order."""


@runtime_checkable
class ChangingSplit(Protocol):
    """A split that looks different in every epoch."""

    def in_epoch(self, epoch: int, seed: int) -> Split:
        """What an epoch (0, 1, ...) of a training with that seed reads."""


def draws_in_turn(split: Split) -> bool:
    """Whether what a split gives depends on the random numbers that were drawn before, batch after batch."""
    return bool(getattr(split, "in_turn", False))


View = tuple[str, int]
"""(name, v): view v of image i is drawn from a generator seeded by (name, i, v)."""


@dataclass(frozen=True, kw_only=True)
class TensorSplit:
    """Images (N, 3, S, S) uint8 in memory, normalised per batch."""

    inputs: Tensor
    labels: Tensor
    preprocessing: Preprocessing

    def batches(self, batch_size: int, *, device: torch.device, order: Tensor | None = None) -> Iterator[Tensor]:
        """Inputs (B, 3, S, S) float32, ready for a net, in the given order of indices (N,), else in stored order."""
        order = torch.arange(len(self.labels)) if order is None else order
        for index in order.split(batch_size):
            images = self.inputs[index].to(device, non_blocking=True)
            yield channels_last(self.preprocessing.normalise(images))


@dataclass(frozen=True, kw_only=True)
class FeatureSplit:
    """Features (N, ...) of any float type, in memory or mapped from a file, as they are."""

    inputs: Tensor
    labels: Tensor
    preprocessing: Preprocessing

    def batches(self, batch_size: int, *, device: torch.device, order: Tensor | None = None) -> Iterator[Tensor]:
        """Inputs (B, ...) float32, ready for a net, in the given order of indices (N,), else in stored order."""
        order = torch.arange(len(self.labels)) if order is None else order
        for index in order.split(batch_size):
            yield channels_last(self.inputs[index].to(device, non_blocking=True).float())


@dataclass(frozen=True, kw_only=True)
class PartOfSplit:
    """Some images of a split, in the order of their places (n,)."""

    whole: Split
    places: Tensor

    @property
    def labels(self) -> Tensor:  # noqa: D102
        return self.whole.labels[self.places]

    @property
    def preprocessing(self) -> Preprocessing:  # noqa: D102
        return self.whole.preprocessing

    def batches(self, batch_size: int, *, device: torch.device, order: Tensor | None = None) -> Iterator[Tensor]:
        """Inputs (B, ...) float32, ready for a net, in the given order of indices (n,), else in the order of places."""
        places = self.places if order is None else self.places[order]
        return self.whole.batches(batch_size, device=device, order=places)

    @property
    def in_turn(self) -> bool:
        """As of the whole."""
        return draws_in_turn(self.whole)

    def in_epoch(self, epoch: int, seed: int) -> Split:
        """The same images of the whole as it is in that epoch."""
        return replace(self, whole=split_in_epoch(self.whole, epoch, seed))


class ViewDataset(Dataset[Tensor]):
    """Images of a data set (PIL or H x W x 3 arrays) seen through a transform, without labels."""

    def __init__(self, images: Dataset[Any], transform: v2.Transform, view: View | None) -> None:
        self.images = images
        self.transform = transform
        self.view = view

    def __getitem__(self, index: int) -> Tensor:
        with seeded_for(self.view, index):
            return self.transform(self.images[index][0])  # type: ignore[no-any-return]

    def __len__(self) -> int:
        return len(self.images)  # type: ignore[arg-type]


@contextmanager
def seeded_for(view: View | None, index: int) -> Iterator[None]:
    """Draws of a view of an image come from its own seed inside; without a view from wherever they come."""
    if view is None:
        yield
        return
    name, number = view
    with torch.random.fork_rng(devices=[]):  # torchvision draws from the CPU's default generator
        torch.default_generator.manual_seed(derive_seed("view", name, index, number))
        yield


def view_in_epoch(epoch: int, seed: int) -> View:
    """The fresh view of each image in an epoch (0, 1, ...) of a training: whoever decodes it, in whatever order."""
    return f"fresh, seed {seed}", epoch


@dataclass(frozen=True, kw_only=True)
class LazySplit:
    """A split decoded and transformed batch by batch; a random transform draws a fresh view in every epoch."""

    images: Dataset[Any]
    labels: Tensor
    transform: v2.Transform
    preprocessing: Preprocessing
    workers: int = 0
    """Processes that decode; none of the pixels depends on their number."""
    view: View | None = None
    """What a random transform always draws; None: another view in every epoch."""
    in_turn: bool = False
    """Fresh views are drawn one after the other from the default generator, as for the recorded rows of Table 5."""

    def batches(self, batch_size: int, *, device: torch.device, order: Tensor | None = None) -> Iterator[Tensor]:
        """Inputs (B, 3, S, S) float32, ready for a net, in the given order of indices (N,), else in stored order."""
        order = torch.arange(len(self.labels)) if order is None else order
        loader = DataLoader(
            ViewDataset(self.images, self.transform, self.view),
            batch_sampler=[index.tolist() for index in order.split(batch_size)],
            num_workers=self.workers,
            pin_memory=device.type == "cuda",
        )
        for images in loader:
            yield channels_last(self.preprocessing.normalise(images.to(device, non_blocking=True)))

    def in_epoch(self, epoch: int, seed: int) -> Split:
        """The split in the views of that epoch, unless it is fixed to one."""
        return self if self.view is not None or self.in_turn else replace(self, view=view_in_epoch(epoch, seed))

    def in_memory(self) -> TensorSplit:
        """Decode once: the same split as uint8 tensors (needs N * 3 * S * S bytes)."""
        views = ViewDataset(self.images, self.transform, self.view)
        loader = DataLoader(views, batch_size=64, num_workers=self.workers)
        return TensorSplit(inputs=torch.cat(list(loader)), labels=self.labels, preprocessing=self.preprocessing)


@dataclass(frozen=True, kw_only=True)
class FixedViews:
    """A training split as K fixed views of the same images; epoch e reads view e mod K, everything else view 0."""

    views: tuple[Split, ...]

    @property
    def labels(self) -> Tensor:  # noqa: D102
        return self.views[0].labels

    @property
    def preprocessing(self) -> Preprocessing:  # noqa: D102
        return self.views[0].preprocessing

    def batches(self, batch_size: int, *, device: torch.device, order: Tensor | None = None) -> Iterator[Tensor]:
        """Batches of view 0."""
        return self.views[0].batches(batch_size, device=device, order=order)

    def in_epoch(self, epoch: int, seed: int) -> Split:  # noqa: ARG002
        """Views take turns."""
        return self.views[epoch % len(self.views)]


def seen_in_views(images: LazySplit, views: int, *, task: str, keep: Callable[[LazySplit], Split]) -> Split:
    """A split as it is (`views` 1), as a fresh random view in every epoch (0), or as K fixed random views.

    View v of image i depends on (task, i, v) alone. `keep` says how what never changes is held: as decoded pixels, or
    as it is.
    """
    if views == 1:
        return keep(images)
    fresh = replace(images, transform=images.preprocessing.random_view())
    if not views:
        return fresh
    fixed = [replace(fresh, view=(task, number)) for number in range(views)]
    return FixedViews(views=tuple(keep(view) for view in fixed))


def in_memory_if_small(split: LazySplit, views: int = 1) -> Split:
    """Decode a split once, unless so many views of it take more than MEMORY_LIMIT_MB."""
    size_mb = views * len(split.labels) * 3 * split.preprocessing.image_size**2 / 2**20
    return split.in_memory() if size_mb <= MEMORY_LIMIT_MB else split


def split_in_epoch(split: Split, epoch: int, seed: int) -> Split:
    """What an epoch (0, 1, ...) of a training with that seed reads of a split."""
    return split.in_epoch(epoch, seed) if isinstance(split, ChangingSplit) else split


def channels_last(inputs: Tensor) -> Tensor:
    """The layout (B, C, H, W) in which convolutions run fastest on CPU and tensor cores; other shapes as they are."""
    if inputs.ndim != 4:
        return inputs
    _, channels, height, width = inputs.shape
    # Strides of a dimension of size 1 mean nothing to `contiguous`, but they choose the kernel, and so the last bit.
    strides = (channels * height * width, 1, channels * width, channels)
    return inputs.contiguous(memory_format=torch.channels_last).as_strided(inputs.shape, strides)


def batch_size_for(image_size: int, device: torch.device, *, at_most: int) -> int:
    """Images in a batch without gradient: on CPU few enough to stay in reused memory, on a GPU enough to fill it."""
    pixels = 10**6 if device.type == "cpu" else 16 * 10**6
    return min(at_most, max(1, pixels // image_size**2))


EVAL_BATCH = 250
"""Images in a batch of evaluation, where the device can hold them."""


def eval_batch_size(split: Split, device: torch.device) -> int:
    """Images of a split in a batch of evaluation."""
    return batch_size_for(split.preprocessing.image_size, device, at_most=EVAL_BATCH)


def eval_batches(split: Split, device: torch.device) -> Iterator[Tensor]:
    """Batches for evaluation, in stored order."""
    return split.batches(eval_batch_size(split, device), device=device)


@dataclass(frozen=True, kw_only=True)
class NamedSplit:
    """A split that never changes, and the names under which what is made of its images is kept."""

    images: Split
    data_set: str
    """Folder of the store in which all splits of the data lie."""
    data_sha: str
    """Identity of the data set by content."""
    part: str
    """Which images of the data set these are, e.g. `train`."""


Part = Literal["train", "val", "test"]


@dataclass(frozen=True, kw_only=True)
class TaskData:
    """The three splits of one task."""

    name: str
    classes: int
    sha: str
    """Hash of the content (drawn data) or of the folder listing."""
    train: Split
    val: Split
    test: Split

    def named(self, part: Part) -> NamedSplit:
        """One of the splits with its names."""
        images: Split = getattr(self, part)
        # The task's name belongs to it: a folder's name seeds which of its images are held out.
        return NamedSplit(images=images, data_set=f"{self.name}-{self.sha}", data_sha=self.sha, part=part)
