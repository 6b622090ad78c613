"""What the frozen part in front of a patch puts out: the same in every epoch, seed and arm, so computed once and kept.

Shape legend: N images, B batch, S size in pixels, C channels, F pooled features.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import timm
import torch
from torch import Tensor, nn

from delta_core import DeltaModel
from delta_core.training.data.coded_features import CodedSplit, coded, coded_bytes, decoded
from delta_core.training.data.splits import (
    FeatureSplit,
    FixedViews,
    LazySplit,
    NamedSplit,
    Split,
    batch_size_for,
    channels_last,
    in_memory_if_small,
)
from delta_core.training.errors import UserError
from delta_core.training.memory_store import MemoryStore
from delta_core.training.provenance import device_name
from delta_core.training.recipe import FeatureDtype
from delta_core.training.tensor_store import TensorStore
from delta_core.weights import Preprocessing


def prefix_batch_size(image_size: int, device: torch.device) -> int:
    """Images that go through a prefix together, always: a power of two, so that usual batches are whole multiples.

    CPU kernels are chosen by the size of the batch, and not all add up in the same order: with 8 instead of 64 images
    the features of most nets differ in the last bit. With one size they depend on the image alone.

    >>> prefix_batch_size(224, torch.device("cpu")), prefix_batch_size(32, torch.device("cpu"))
    (16, 64)
    """
    return 1 << batch_size_for(image_size, device, at_most=64).bit_length() - 1


@dataclass(frozen=True, kw_only=True)
class PrefixSplit:
    """Outputs of a frozen prefix for the images of a split, computed at every pass and rounded to `dtype`."""

    prefix: nn.Module
    images: Split
    dtype: FeatureDtype = "float32"

    @property
    def labels(self) -> Tensor:  # noqa: D102
        return self.images.labels

    @property
    def preprocessing(self) -> Preprocessing:  # noqa: D102
        return self.images.preprocessing

    def batches(self, batch_size: int, *, device: torch.device, order: Tensor | None = None) -> Iterator[Tensor]:
        """Outputs (B, C, H, W) or (B, F), float32, in the given order of indices (N,), else in stored order.

        Raises:
            UserError: if a number is too large for `dtype`.
        """
        chunk = prefix_batch_size(self.preprocessing.image_size, device)
        rows: list[Tensor] = []
        for images in self.images.batches(chunk, device=device, order=order):
            rows += self._outputs(images, chunk)
            while len(rows) >= batch_size:
                yield channels_last(torch.stack(rows[:batch_size]))
                del rows[:batch_size]
        if rows:
            yield channels_last(torch.stack(rows))

    def to_store(self, device: torch.device) -> Iterator[Tensor]:
        """What is kept of all images in stored order, in batches: their codes or their numbers."""
        batch_size = prefix_batch_size(self.preprocessing.image_size, device)
        if self.dtype == "uint8":
            return map(coded, replace(self, dtype="float32").batches(batch_size, device=device))
        return self.batches(batch_size, device=device)

    def _outputs(self, images: Tensor, chunk: int) -> Tensor:
        with torch.no_grad():  # not inference_mode: these are inputs of training
            filled = torch.cat([images, images[-1:].expand(chunk - len(images), -1, -1, -1)])
            outputs: Tensor = self.prefix(channels_last(filled))[: len(images)]
        if self.dtype == "uint8":
            return decoded(coded(outputs), tuple(outputs.shape[1:]))
        rounded = outputs.to(getattr(torch, self.dtype)).float()
        if self.dtype == "float16" and not torch.isfinite(rounded).all():
            raise UserError("Features of this net are too large for float16; choose the feature dtype bfloat16.")
        return rounded


def feature_shape(model: DeltaModel, image_size: int) -> tuple[int, ...]:
    """(C, H, W), or (F,), of what the frozen part in front of the active patch puts out at a size in pixels."""
    prefix, _ = model.split_at_first_patch()
    first = next(model.backbone.parameters())
    with torch.no_grad():
        return tuple(prefix(channels_last(first.new_zeros(1, 3, image_size, image_size))).shape[1:])


def bytes_of_features(shape: tuple[int, ...], dtype: FeatureDtype) -> int:
    """Bytes that are kept of one image.

    >>> bytes_of_features((64, 56, 56), "float32"), bytes_of_features((64, 56, 56), "uint8")
    (802816, 201216)
    """
    return coded_bytes(shape) if dtype == "uint8" else math.prod(shape) * getattr(torch, dtype).itemsize


@dataclass(frozen=True, kw_only=True)
class FeatureKey:
    """Everything that the bits of stored features depend on."""

    backbone: str
    """Fingerprint of the weights."""
    ends_at: str
    """First gated block, or `pooled`."""
    data_sha: str
    split: str
    view: int | None
    """Number of the augmented view; None where there is one view, resized and cropped."""
    preprocessing: Preprocessing
    dtype: FeatureDtype
    batch_size: int
    device: str
    torch: str = torch.__version__
    timm: str = timm.__version__


@dataclass(frozen=True, kw_only=True)
class PrefixFeatures:
    """Splits as seen behind the prefix of a model's active patch, from the store if there is room."""

    model: DeltaModel
    store: TensorStore | MemoryStore
    device: torch.device
    dtype: FeatureDtype

    def of(self, split: NamedSplit) -> Split:
        """Features of a split whose images are the same at every pass; of each of its views, if it has several."""
        if isinstance(split.images, FixedViews):
            views = split.images.views
            return FixedViews(views=tuple(self._of(split, view, n, len(views)) for n, view in enumerate(views)))
        return self._of(split, split.images, None, 1)

    def _of(self, split: NamedSplit, images: Split, view: int | None, views: int) -> Split:
        if self.model.patch().reads_image:  # then no frozen part stands in front of what trains
            return in_memory_if_small(images, views) if isinstance(images, LazySplit) else images
        prefix, _ = self.model.split_at_first_patch()
        computed = PrefixSplit(prefix=prefix, images=images, dtype=self.dtype)
        size = images.preprocessing.image_size
        key = FeatureKey(
            backbone=self.model.fingerprint,
            ends_at=self._first_gated_block(),
            data_sha=split.data_sha,
            split=split.part,
            view=view,
            preprocessing=images.preprocessing,
            dtype=self.dtype,
            batch_size=prefix_batch_size(size, self.device),
            device=device_name(self.device),
        )
        found = self.store.tensor(
            split.data_set,
            key,
            len(images.labels),
            getattr(torch, self.dtype),
            lambda: computed.to_store(self.device),
        )
        if found is None:
            read = in_memory_if_small(images, views) if isinstance(images, LazySplit) else images
            return replace(computed, images=read)
        if self.dtype == "uint8":
            return CodedSplit(
                codes=found,
                shape=feature_shape(self.model, size),
                labels=images.labels,
                preprocessing=images.preprocessing,
            )
        return FeatureSplit(inputs=found, labels=images.labels, preprocessing=images.preprocessing)

    def _first_gated_block(self) -> str:
        patch = self.model.patch()
        return next((block.name for block in self.model.blocks if patch.of(block) is not None), "pooled")
