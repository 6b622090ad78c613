"""A part of a packaged task: at most so many images of each split, the same on every machine."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.utils.data import Dataset, Subset

from benchmarks.data.packaged.task import Labelled, PackagedTask
from delta_core.training.data.splits import Part


@dataclass(frozen=True, kw_only=True)
class FewImages:
    """The first images of each split in the order of SHA-256(name/split/place); no random generator is involved.

    Splits stay what they are, so what never straddles those of the whole task, as modules of solar cells, does not
    straddle these.
    """

    name: str
    """Of the whole task, without a prefix."""
    whole: PackagedTask
    at_most: Mapping[Part, int]

    @property
    def packages(self) -> Mapping[str, str]:  # noqa: D102
        return self.whole.packages

    @property
    def source(self) -> str:  # noqa: D102
        return self.whole.source

    @property
    def class_names(self) -> tuple[str, ...]:  # noqa: D102
        return self.whole.class_names

    def identity(self) -> str:
        """That of the whole task, and how many images are kept, e.g. `v1,500-150-500`."""
        return f"{self.whole.identity()},{self._counts}"

    def read(self, cache: Path) -> tuple[dict[Part, Labelled], str]:
        """The parts, in the order of the whole task, and its hash with the counts."""
        parts, sha = self.whole.read(cache)
        return {part: self._first(part, *labelled) for part, labelled in parts.items()}, f"{sha},{self._counts}"

    @property
    def _counts(self) -> str:
        return "-".join(str(count) for count in self.at_most.values())

    def _first(self, part: Part, images: Dataset[Any], labels: Tensor) -> Labelled:
        def digest(place: int) -> str:
            return hashlib.sha256(f"{self.name}/{part}/{place}".encode()).hexdigest()

        places = sorted(sorted(range(len(labels)), key=digest)[: self.at_most[part]])
        return Subset(images, places), labels[places]
