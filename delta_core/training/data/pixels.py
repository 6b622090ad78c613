"""Decoded and resized images, kept as uint8 and mapped into memory: decoding is what limits a GPU on few cores.

They lie in the store of features, which bounds the room of both, is safe under concurrent runs and under kill -9, and
makes room by itself.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import PIL
import torch
import torchvision
from torch import Tensor
from torch.utils.data import DataLoader

from delta_core.training.data.splits import LazySplit, Split, TensorSplit, ViewDataset
from delta_core.training.tensor_store import TensorStore
from delta_core.weights import Preprocessing

BATCH_SIZE = 64


@dataclass(frozen=True, kw_only=True)
class PixelKey:
    """Everything that the bytes of a kept split depend on."""

    data_sha: str
    split: str
    view: int | None
    """Number of the fixed random view; None for the centre crop."""
    preprocessing: Preprocessing
    torchvision: str = torchvision.__version__
    pillow: str = PIL.__version__


@dataclass(frozen=True, kw_only=True)
class PixelStore:
    """Splits of one data set as mapped pixels."""

    store: TensorStore
    name: str
    data_sha: str

    def keep(self, split: str, images: LazySplit) -> Split:
        """The split decoded once, now or by an earlier run; the split as it is if there is no room.

        `images` must look the same at every pass.
        """
        key = PixelKey(
            data_sha=self.data_sha,
            split=split,
            view=None if images.view is None else images.view[1],
            preprocessing=images.preprocessing,
        )
        # The name belongs to it: it seeds which images are held out and what a fixed view shows.
        folder = f"{self.name}-{self.data_sha}"
        found = self.store.tensor(folder, key, len(images.labels), torch.uint8, lambda: _decoded(images))
        if found is None:
            return images
        return TensorSplit(inputs=found, labels=images.labels, preprocessing=images.preprocessing)


def _decoded(images: LazySplit) -> Iterator[Tensor]:
    """Batches (B, 3, S, S) uint8."""
    views = ViewDataset(images.images, images.transform, images.view)
    yield from DataLoader(views, batch_size=BATCH_SIZE, num_workers=images.workers)
