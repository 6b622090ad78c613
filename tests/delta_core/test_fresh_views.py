"""The fresh view of image i in epoch e of a training with seed s depends on (s, e, i) alone."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from lightning_fabric import Fabric
from tiny import PREPROCESSING, RECIPE, images
from torch import Tensor, nn
from torch.utils.data import Dataset
from torchvision.transforms import v2

from delta_core.training.data.ready_inputs import ReadyInputs
from delta_core.training.data.splits import LazySplit, PartOfSplit, Split, split_in_epoch
from delta_core.training.engine import train_module

CPU = torch.device("cpu")
WORKERS = pytest.mark.parametrize("workers", [0, 1, 3])


class Pictures(Dataset[tuple[Tensor, int]]):
    """Images with a transform of their own, if any."""

    def __init__(self, transform: Callable[[Tensor], Tensor] = lambda image: image) -> None:
        self.pictures = (images(10, size=20) * 60 + 120).clamp(0, 255).to(torch.uint8)
        self.transform = transform

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(self.pictures[index]), index % 2

    def __len__(self) -> int:
        return len(self.pictures)


def fresh(workers: int = 0) -> LazySplit:
    return LazySplit(
        images=Pictures(),
        labels=torch.arange(10) % 2,
        transform=PREPROCESSING.random_view(scale=(0.3, 1.0)),
        preprocessing=PREPROCESSING,
        workers=workers,
    )


def drawn_by_the_data_set(workers: int = 0) -> ReadyInputs:
    crop = v2.Compose([v2.RandomResizedCrop(16, scale=(0.3, 1.0)), v2.ToDtype(torch.float32, scale=True)])
    return ReadyInputs(inputs=Pictures(crop), labels=torch.arange(10) % 2, preprocessing=PREPROCESSING, workers=workers)


def seen(split: Split, *, epoch: int, seed: int, batch_size: int = 4, order: Tensor | None = None) -> Tensor:
    return torch.cat(list(split_in_epoch(split, epoch, seed).batches(batch_size, device=CPU, order=order)))


SPLITS = pytest.mark.parametrize("make", [fresh, drawn_by_the_data_set])


@SPLITS
@WORKERS
def test_views_do_not_depend_on_workers_batches_order_or_the_default_generator(
    make: Callable[[int], Split], workers: int
) -> None:
    expected = seen(make(0), epoch=2, seed=7, batch_size=10)
    torch.rand(workers + 1)
    order = torch.tensor([7, 0, 3, 9, 8, 1, 2, 6, 5, 4])
    assert torch.equal(seen(make(workers), epoch=2, seed=7, order=order), expected[order])


@SPLITS
def test_every_seed_epoch_and_image_has_a_view_of_its_own(make: Callable[[], Split]) -> None:
    passes = [seen(make(), epoch=epoch, seed=seed) for epoch in range(2) for seed in range(2)]
    assert len({each.numpy().tobytes() for each in passes}) == 4
    same_image = replace(fresh(), images=[(Pictures()[0][0],)] * 10)
    assert len({each.numpy().tobytes() for each in seen(same_image, epoch=0, seed=0)}) == 10


def test_the_images_of_a_part_look_as_they_do_in_the_whole() -> None:
    places = torch.tensor([3, 8, 1])
    whole = seen(fresh(), epoch=1, seed=4)
    assert torch.equal(seen(PartOfSplit(whole=fresh(), places=places), epoch=1, seed=4), whole[places])


@SPLITS
@WORKERS
def test_a_training_reads_the_same_inputs_with_any_number_of_workers(
    make: Callable[[int], Split], workers: int
) -> None:
    def inputs(workers: int) -> list[Tensor]:
        class Noting(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.head = nn.Linear(3 * 16 * 16, 2)

            def forward(self, x: Tensor) -> Tensor:
                noted.append(x.clone())
                torch.rand(3)  # as a dropout would: draws from the default generator
                return self.head(x.flatten(1))

        noted: list[Tensor] = []
        torch.manual_seed(0)
        net = Noting()
        train_module(net, net.head, make(workers), replace(RECIPE, batch_size=4), Fabric(accelerator="cpu"), seed=3)
        return noted

    alone, together = inputs(0), inputs(workers)
    assert len(alone) == RECIPE.epochs * 3
    assert all(torch.equal(one, other) for one, other in zip(alone, together, strict=True))
