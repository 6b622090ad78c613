"""Tensors that are made once and kept in the memory of this process, for who names no folder to keep them in."""

import math
import warnings
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any

import torch
from torch import Tensor

from delta_core.training.data.splits import MEMORY_LIMIT_MB


class MemoryStore:
    """Holds at most `limit_mb` (MiB), first come first served; has the method that `TensorStore` has."""

    def __init__(self, limit_mb: float = MEMORY_LIMIT_MB) -> None:
        self.limit_mb = limit_mb
        self.used_mb = 0.0

    def tensor(
        self,
        data_set: str,  # noqa: ARG002 - what lives as long as its one user needs no address
        key: Any,  # noqa: ARG002
        count: int,
        dtype: torch.dtype,
        make: Callable[[], Iterator[Tensor]],
    ) -> Tensor | None:
        """A tensor (N, ...) in memory, images channels last; None if it does not fit."""
        batches = make()
        first = next(batches)
        shape = (count, *first.shape[1:])
        size_mb = math.prod(shape) * dtype.itemsize / 2**20
        if self.used_mb + size_mb > self.limit_mb:
            warnings.warn(
                f"Features take {size_mb:.0f} MiB, more than is kept in memory, and are computed anew in every epoch; "
                "name a folder for them (cache).",
                stacklevel=2,
            )
            return None
        self.used_mb += size_mb
        layout = torch.channels_last if len(shape) == 4 else torch.contiguous_format
        found = torch.empty(shape, dtype=dtype, memory_format=layout)
        row = 0
        for batch in chain([first], batches):
            found[row : row + len(batch)] = batch
            row += len(batch)
        return found
