"""Several tasks as one (paper, Section 3.1, joint patching): all images, one head over the union of the classes."""

import hashlib
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import ConcatDataset, Dataset
from torchvision.transforms import v2

from benchmarks.data.groups import grouped
from delta_core.training.data.splits import FixedViews, LazySplit, Split, TaskData, TensorSplit, ViewDataset


def joint_task(tasks: Sequence[TaskData]) -> TaskData:
    """Concatenate tasks split by split; labels of a task are shifted behind those of the tasks before it."""
    shifts = [0, *accumulate(task.classes for task in tasks)]
    return TaskData(
        name=grouped([task.name for task in tasks]),
        classes=shifts[-1],
        sha=hashlib.sha256(grouped([task.sha for task in tasks]).encode()).hexdigest()[:12],
        train=_joined([task.train for task in tasks], shifts),
        val=_joined([task.val for task in tasks], shifts),
        test=_joined([task.test for task in tasks], shifts),
    )


def _joined(parts: Sequence[Split], shifts: Sequence[int]) -> Split:
    """One split after the other. In memory if all parts are, else read image by image."""
    if all(isinstance(part, FixedViews) for part in parts):
        by_view = zip(*(part.views for part in parts if isinstance(part, FixedViews)), strict=True)
        return FixedViews(views=tuple(_joined(views, shifts) for views in by_view))
    labels = torch.cat([part.labels + shift for part, shift in zip(parts, shifts, strict=False)])
    preprocessing = parts[0].preprocessing
    in_memory = [part for part in parts if isinstance(part, TensorSplit)]
    if len(in_memory) == len(parts):
        inputs = torch.cat([part.inputs for part in in_memory])
        return TensorSplit(inputs=inputs, labels=labels, preprocessing=preprocessing)
    return LazySplit(
        images=ConcatDataset([_Seen(part) for part in parts]),
        labels=labels,
        transform=v2.Identity(),
        preprocessing=preprocessing,
        workers=max(part.workers for part in parts if isinstance(part, LazySplit)),
    )


class _Seen(Dataset[tuple[Tensor]]):
    """Images of a split (3, S, S) uint8, already seen through the split's own transform."""

    def __init__(self, split: Split) -> None:
        self.images: Any
        match split:
            case TensorSplit():
                self.images = split.inputs
            case LazySplit():
                self.images = ViewDataset(split.images, split.transform, split.view)
            case _:
                raise TypeError(f"A {type(split).__name__} holds no images.")

    def __getitem__(self, index: int) -> tuple[Tensor]:
        return (self.images[index],)

    def __len__(self) -> int:
        return len(self.images)
