"""A data set whose own transform makes inputs of the net: float tensors, taken as they are."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from delta_core.training.data.splits import Split, View, channels_last, seeded_for, view_in_epoch
from delta_core.training.errors import UserError
from delta_core.weights import Preprocessing


@dataclass(frozen=True, kw_only=True)
class ReadyInputs:
    """Inputs (N, 3, H, W) that the data set gives anew in every epoch."""

    inputs: Dataset[Any]
    """Of (input, ...), inputs (3, H, W) float."""
    labels: Tensor
    preprocessing: Preprocessing
    """Of the net's weights, at the size of the inputs; nothing is done by it."""
    workers: int = 0
    view: View | None = None
    """What a data set that draws from torch's default generator always draws; None: whatever comes."""

    def batches(self, batch_size: int, *, device: torch.device, order: Tensor | None = None) -> Iterator[Tensor]:
        """Inputs (B, 3, H, W) float32, in the given order of indices (N,), else in stored order."""
        order = torch.arange(len(self.labels)) if order is None else order
        loader = DataLoader(
            _InputsAlone(self.inputs, self.view),
            batch_sampler=[index.tolist() for index in order.split(batch_size)],
            num_workers=self.workers,
            pin_memory=device.type == "cuda",
        )
        for inputs in loader:
            yield channels_last(inputs.to(device, non_blocking=True).float())

    def in_epoch(self, epoch: int, seed: int) -> Split:
        """The inputs as they are drawn in that epoch."""
        return replace(self, view=view_in_epoch(epoch, seed))


class _InputsAlone(Dataset[Tensor]):
    def __init__(self, pairs: Dataset[Any], view: View | None) -> None:
        self.pairs, self.view = pairs, view

    def __getitem__(self, index: int) -> Tensor:
        with seeded_for(self.view, index):
            return check_input(self.pairs[index][0])

    def __len__(self) -> int:
        return len(self.pairs)  # type: ignore[arg-type]


def check_input(item: Any) -> Tensor:
    """The item, if it is an input of a net. Raises UserError if not."""
    if isinstance(item, Tensor) and item.is_floating_point() and item.ndim == 3 and len(item) == 3:
        return item
    what = f"{tuple(item.shape)} {item.dtype}" if isinstance(item, Tensor) else type(item).__name__
    raise UserError(f"The data give {what} among normalised float tensors; all must be (3, H, W) float.")
