"""The real images among the embedded tasks, 32 px: the same images in the same splits at scale embedded and here."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.data.embedded import CLASS_NAMES, data_version, load_embedded
from benchmarks.data.images import ArrayImages
from benchmarks.data.packaged.task import Labelled
from delta_core.training.data.splits import Part


@dataclass(frozen=True, kw_only=True)
class SmallImages:
    """An embedded task that is not drawn."""

    name: str
    """Of the task at scale embedded."""
    packages: Mapping[str, str]
    source: str

    @property
    def class_names(self) -> tuple[str, ...]:  # noqa: D102
        return CLASS_NAMES[self.name]

    def identity(self) -> str:
        """As at scale embedded."""
        return f"v{data_version(self.name)}"

    def read(self, cache: Path) -> tuple[dict[Part, Labelled], str]:
        """The splits of scale embedded, with its hash, read from `cache` or left there."""
        task = load_embedded(self.name, cache_dir=cache)
        parts: dict[Part, Labelled] = {
            "train": (ArrayImages(task.train.images), torch.from_numpy(task.train.labels)),
            "val": (ArrayImages(task.val.images), torch.from_numpy(task.val.labels)),
            "test": (ArrayImages(task.test.images), torch.from_numpy(task.test.labels)),
        }
        return parts, task.sha256()[:12]
