"""The images of a transfer run: a share of the training data in fresh views, and the same images as they are.

Shape legend: B batch, S size in pixels.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.utils.data import Subset
from torchvision.transforms import v2

from benchmarks.data.catalogue import CATALOGUE
from benchmarks.data.catalogue.look_alikes import declared_at
from benchmarks.data.load import load_task
from benchmarks.data.official import images_not_for_testing
from benchmarks.env import Env
from benchmarks.suites.transfer.rates import list_sha, places_at, rate_list
from delta_core.training.data.splits import LazySplit, Split, TaskData, draws_in_turn, split_in_epoch
from delta_core.training.identity import derive_seed
from delta_core.weights import Preprocessing


def load_rate(
    name: str,
    env: Env,
    preprocessing: Preprocessing,
    *,
    percent: int,
    min_crop_area: float,
    with_val: bool,
    in_turn: bool = False,
) -> TaskData:
    """A task whose training split keeps `percent` of the images, in fresh crops and flips.

    Args:
        name: of the task.
        env: where its data are.
        preprocessing: of the backbone's weights.
        percent: rate, one of `rates.PERCENTS`.
        min_crop_area: smallest share of an image that a view shows (thuml/Transfer-Learning-Library: 0.2).
        with_val: train on the validation images of an official data set too, as thuml/Transfer-Learning-Library does.
        in_turn: draw the views as those of the recorded rows were drawn.
    """
    task = load_task(name, env, preprocessing, views=0)
    train = task.train
    assert isinstance(train, LazySplit), "fresh views are not held in memory"
    if with_val:
        assert env.data_root is not None, "an official data set"
        images, labels = images_not_for_testing(declared_at(CATALOGUE[name], env.data_root), env.data_root)
        train = replace(train, images=images, labels=labels)
    rates = rate_list(name, train.labels)
    places = places_at(rates, percent)
    train = replace(
        train,
        images=Subset(train.images, places.tolist()),
        labels=train.labels[places],
        transform=v2.Compose(
            [preprocessing.random_view(scale=(min_crop_area, 1.0)), v2.RandomHorizontalFlip()],
        ),
        in_turn=in_turn,
    )
    return replace(task, train=train, sha=f"{task.sha}+rates:{list_sha(rates)}")


def as_they_are(split: Split) -> Split:
    """The images of a training split without augmentation."""
    if isinstance(split, LazySplit):
        return replace(split, transform=split.preprocessing.resize_and_crop())
    return split


@dataclass(frozen=True, kw_only=True)
class PairedViews:
    """A split twice, each time in views of its own."""

    splits: tuple[Split, Split]

    @property
    def labels(self) -> Tensor:  # noqa: D102
        return self.splits[0].labels

    @property
    def preprocessing(self) -> Preprocessing:  # noqa: D102
        return self.splits[0].preprocessing

    def batches(self, batch_size: int, *, device: torch.device, order: Tensor | None = None) -> Iterator[Tensor]:
        """Pairs (B, 2, 3, S, S) float32 in the given order of indices, else in stored order."""
        views = (split.batches(batch_size, device=device, order=order) for split in self.splits)
        for pair in zip(*views, strict=True):
            yield torch.stack(pair, dim=1)

    @property
    def in_turn(self) -> bool:
        """As of either."""
        return any(draws_in_turn(split) for split in self.splits)

    def in_epoch(self, epoch: int, seed: int) -> Split:
        """Both as they are in that epoch, the second as if of another training."""
        first, second = self.splits
        other = derive_seed("second view", seed)
        return PairedViews(splits=(split_in_epoch(first, epoch, seed), split_in_epoch(second, epoch, other)))
