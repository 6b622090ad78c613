"""A split as a stream of normalised batches, whether it sits in memory or is read from disk.

Shape legend: N images, B batch, S size in pixels.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from delta_core.weights import Preprocessing


@dataclass(frozen=True, kw_only=True)
class TensorSplit:
    """A split in memory: uint8 images to be normalised per batch, or cached float features as they are."""

    inputs: Tensor
    labels: Tensor
    preprocessing: Preprocessing | None = None

    def batches(self, batch_size: int, *, device: torch.device, order: Tensor | None = None) -> Iterator[Tensor]:
        """Inputs (B, ...) float32, ready for a net, in the given order of indices (N,), else in stored order."""
        order = torch.arange(len(self.labels)) if order is None else order
        for index in order.split(batch_size):
            inputs = self.inputs[index].to(device, non_blocking=True)
            if self.preprocessing is not None:
                inputs = self.preprocessing.normalise(inputs)
            yield channels_last(inputs) if inputs.ndim == 4 else inputs


class ViewDataset(Dataset[Tensor]):
    """Images of a data set (PIL) seen through a transform, without labels."""

    def __init__(self, images: Dataset[Any], transform: v2.Transform) -> None:
        self.images = images
        self.transform = transform

    def __getitem__(self, index: int) -> Tensor:
        return self.transform(self.images[index][0])  # type: ignore[no-any-return]

    def __len__(self) -> int:
        return len(self.images)  # type: ignore[arg-type]


@dataclass(frozen=True, kw_only=True)
class LazySplit:
    """A split decoded from disk batch by batch; random transforms draw a fresh view at every pass."""

    images: Dataset[Any]
    labels: Tensor
    transform: v2.Transform
    preprocessing: Preprocessing
    workers: int = 0

    def batches(self, batch_size: int, *, device: torch.device, order: Tensor | None = None) -> Iterator[Tensor]:
        """Inputs (B, 3, S, S) float32, ready for a net, in the given order of indices (N,), else in stored order."""
        order = torch.arange(len(self.labels)) if order is None else order
        loader = DataLoader(
            ViewDataset(self.images, self.transform),
            batch_sampler=[index.tolist() for index in order.split(batch_size)],
            num_workers=self.workers,
            pin_memory=device.type == "cuda",
        )
        for images in loader:
            yield channels_last(self.preprocessing.normalise(images.to(device, non_blocking=True)))

    def in_memory(self) -> TensorSplit:
        """Decode once: the same split as uint8 tensors (needs N * 3 * S * S bytes)."""
        loader = DataLoader(ViewDataset(self.images, self.transform), batch_size=64, num_workers=self.workers)
        return TensorSplit(inputs=torch.cat(list(loader)), labels=self.labels, preprocessing=self.preprocessing)


Split = TensorSplit | LazySplit


def channels_last(images: Tensor) -> Tensor:
    """The memory layout in which convolutions run fastest on CPU and on CUDA tensor cores."""
    return images.contiguous(memory_format=torch.channels_last)


def eval_batches(split: Split, device: torch.device) -> Iterator[Tensor]:
    """Batches for evaluation, sized by pixels: on CPU small enough to stay in reused memory, on a GPU to fill it."""
    pixels = 10**6 if device.type == "cpu" else 16 * 10**6
    image_size = split.preprocessing.image_size if split.preprocessing else 128
    return split.batches(min(250, max(1, pixels // image_size**2)), device=device)


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
