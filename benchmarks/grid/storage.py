"""What runs at paper scale keep in the store of decoded images and features, known before any was started."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import timm

from benchmarks.data.catalogue import CATALOGUE
from benchmarks.data.catalogue.entry import DataSet
from benchmarks.data.groups import members
from benchmarks.methods.base import Method
from benchmarks.records.names import TRANSFER
from benchmarks.records.rows import SCRATCH
from benchmarks.spec import Run
from delta_core.training.errors import UserError
from delta_core.training.prefix_features import bytes_of_features
from delta_core.training.recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class Kept:
    """One tensor of the store: equal ones are kept once for all runs."""

    data_set: str
    images: int
    bytes_per_image: int
    features: str = ""
    """Whose they are; empty for decoded images."""
    cropped_as: str = ""
    """What sets its pixels apart from those of other runs of the same size."""


@dataclass(frozen=True, kw_only=True)
class Storage:
    """Bytes of several runs together."""

    images: int
    features: int

    @property
    def total_gb(self) -> float:
        """In 10^9 bytes."""
        return (self.images + self.features) / 10**9

    def __str__(self) -> str:
        features = f", {self.features / 10**9:.1f} GB of features" if self.features else ""
        return f"{self.images / 10**9:.1f} GB of decoded images{features}"


def storage_of(runs: Iterable[Run]) -> Storage:
    """Room that runs at paper scale take in the store.

    >>> str(storage_of([]))
    '0.0 GB of decoded images'
    """
    kept = {tensor for run in runs for tensor in _kept_by(run)}
    sizes = {tensor: tensor.images * tensor.bytes_per_image for tensor in kept}
    features = sum(size for tensor, size in sizes.items() if tensor.features)
    return Storage(images=sum(sizes.values()) - features, features=features)


def check_room(runs: Iterable[Run], limit_gb: float) -> None:
    """Refuse runs at paper scale for which the store has no room: it would be filled and emptied without end.

    Args:
        runs: of one table.
        limit_gb: of the store in 10^9 bytes; 0 keeps nothing, which is always possible.

    Raises:
        UserError: that names both sizes.
    """
    storage = storage_of(runs)
    if limit_gb and storage.total_gb > limit_gb:
        raise UserError(
            f"--cache-gb is {limit_gb:g}, but these runs keep {storage}; give {math.ceil(storage.total_gb)}, fewer "
            "tasks or views, or 0 to decode images anew in every run."
        )


def _kept_by(run: Run) -> Iterator[Kept]:
    method = run.method
    if not (isinstance(method, Method) and isinstance(method.recipe, Recipe)):
        return  # digits are in memory anyway, and OpenMMLab reads its own files
    size: int = run.image_size  # type: ignore[attr-defined]
    cropped_as = "by the weights' own crop" if run.suite == TRANSFER else ""
    shape = method.feature_shape(run.architecture, size) if method.recipe.views else ()
    for name in members(run.task):
        entry = CATALOGUE[name]
        images = _evaluated(entry) + method.recipe.views * _trained_on(entry)
        yield Kept(data_set=name, images=images, bytes_per_image=_pixels(size), cropped_as=cropped_as)
    if shape:  # of a group as a whole
        entries = [CATALOGUE[name] for name in members(run.task)]
        images = sum(_evaluated(entry) + method.recipe.views * _trained_on(entry) for entry in entries)
        owner = f"{run.weights} {method.name} {shape}"
        each = bytes_of_features(shape, method.recipe.feature_dtype)
        yield Kept(data_set=run.task, images=images, bytes_per_image=each, features=owner)
    base: str = getattr(run, "base_task", "")
    if base:
        size = _own_size(run)
        yield Kept(data_set=base, images=_evaluated(CATALOGUE[base]), bytes_per_image=_pixels(size))


def _pixels(size: int) -> int:
    return 3 * size**2


def _evaluated(entry: DataSet) -> int:
    """Held-out and test images."""
    if entry.test == entry.train:
        return entry.counts[entry.test]
    held = entry.counts[entry.val] if entry.val else entry.counts[entry.train] - entry.train_images
    return held + entry.counts[entry.test]


def _trained_on(entry: DataSet) -> int:
    return 0 if entry.test == entry.train else entry.train_images


def _own_size(run: Run) -> int:
    """Size at which the weights of a run look at their own task, in pixels."""
    name = run.architecture if run.weights == SCRATCH else run.weights.removeprefix("timm:")
    config = timm.get_pretrained_cfg(name)
    assert config is not None, "the paper's weights are timm's"
    return config.input_size[-1]
