"""Where the features of a training are kept on this machine: on disk, in memory, or nowhere."""

from dataclasses import dataclass
from typing import Literal, get_args

from delta_core.training.data.splits import MEMORY_LIMIT_MB
from delta_core.training.prefix_features import bytes_of_features
from delta_core.training.recipe import FeatureDtype
from delta_core.training.tensor_store import CACHE_GB

SHARE_OF_FREE_DISK = 0.9
"""At most so much of what is free is filled: other programs write too."""


@dataclass(frozen=True, kw_only=True)
class FeatureRoom:
    """What is to be kept, and what there is room for. On disk it is mapped, and outlives an interruption."""

    images: int
    """All views of them."""
    shape: tuple[int, ...]
    """Of the features of one image: (C, H, W) or (F,)."""
    dtype: FeatureDtype
    free_disk_bytes: int

    @property
    def place(self) -> Literal["disk", "memory", "nowhere"]:
        """The first of them that has room."""
        return self._place_of(self.dtype)

    def __str__(self) -> str:
        told = f"Features: {self.images} images of {' x '.join(map(str, self.shape))}, {self._gb(self.dtype)}"
        free = f"{self.free_disk_bytes / 1e9:.1f} GB of disk are free"
        if self.place == "disk":
            return f"{told}, kept on disk until the end ({free})."
        if self.place == "memory":
            return f"{told}, kept in memory, since {free}."
        shorter = [dtype for dtype in get_args(FeatureDtype) if self._place_of(dtype) != "nowhere"]
        least = f"; {self._gb(shorter[-1])} would be kept (--feature-dtype {shorter[-1]})" if shorter else ""
        return f"{told}, computed anew in every epoch, since {free}, of at most {CACHE_GB:g} GB used{least}."

    def _place_of(self, dtype: FeatureDtype) -> Literal["disk", "memory", "nowhere"]:
        size = self._bytes(dtype)
        if size <= min(CACHE_GB * 1e9, SHARE_OF_FREE_DISK * self.free_disk_bytes):
            return "disk"
        return "memory" if size <= MEMORY_LIMIT_MB * 2**20 else "nowhere"

    def _bytes(self, dtype: FeatureDtype) -> int:
        return self.images * bytes_of_features(self.shape, dtype)

    def _gb(self, dtype: FeatureDtype) -> str:
        return f"{self._bytes(dtype) / 1e9:.2f} GB in {dtype}"
