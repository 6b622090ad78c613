"""What a packaged task is: images, labels and splits behind one name."""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor
from torch.utils.data import Dataset

from delta_core.training.data.splits import Part

Labelled = tuple[Dataset[Any], Tensor]
"""Images, item i a tuple whose first element is RGB (PIL or H x W x 3 uint8), and class indices (N,) int64."""


def missing_packages(packages: Mapping[str, str]) -> list[str]:
    """Of packages by the name that Python imports, those that are not installed, as pip calls them."""
    return [distribution for module, distribution in packages.items() if find_spec(module) is None]


class PackagedTask(Protocol):
    """Real images with fixed splits that packages carry."""

    @property
    def packages(self) -> Mapping[str, str]:
        """Names of the packages as Python imports them -> as pip installs them."""

    @property
    def source(self) -> str:
        """Whose images these are, and under which licence, in one line."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes in the order of their indices."""

    def identity(self) -> str:
        """What a run's identity knows of images, labels and splits; no pixel is read for it."""

    def read(self, cache: Path) -> tuple[dict[Part, Labelled], str]:
        """The three splits and a hash of their content; what takes seconds to make is left in `cache`."""
