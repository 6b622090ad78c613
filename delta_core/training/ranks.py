"""Processes that train one net together (data parallel): every batch is dealt to all of them.

Shape legend: B images of a batch, N images of a split.
"""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from inspect import signature
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor, distributed
from torch.nn.parallel import DistributedDataParallel

from delta_core.training.batch_norm_over_ranks import BatchNormOverRanks
from delta_core.training.identity import derive_seed

if TYPE_CHECKING:
    from lightning_fabric import Fabric

Value = TypeVar("Value")


def unsynced_buffers() -> dict[str, Any]:
    """Option of torch's wrapper by which buffers are left alone in each step, under the name that this torch has."""
    names = signature(DistributedDataParallel).parameters
    return {"forward_sync_buffers" if "forward_sync_buffers" in names else "broadcast_buffers": False}


@dataclass(frozen=True, kw_only=True)
class Rank:
    """Which of the processes that share a run this one is."""

    number: int
    """0, 1, ...; the first one writes."""
    world_size: int
    meeting: str
    """Where they find each other: `file:///PATH` on one machine, `tcp://HOST:PORT` of the first one on several."""


@dataclass(frozen=True, kw_only=True)
class Share:
    """What one process computes of a part of a batch."""

    images: int
    weight: float
    """Of the mean loss over these images, so that the mean gradient over all processes is that of the batch."""
    is_dealt: bool
    """False where a part has fewer images than there are processes: then each computes all of it."""


@dataclass(frozen=True, kw_only=True)
class Ranks:
    """The processes that share a run; with one of them everything is as if there were no others."""

    number: int
    """Of this one."""
    world_size: int

    @classmethod
    def behind(cls, fabric: "Fabric") -> "Ranks":
        """Those that a Fabric has found."""
        return cls(number=fabric.global_rank, world_size=fabric.world_size)

    @classmethod
    def of(cls, rank: Rank | None) -> "Ranks":
        """Those that a process knows itself to be one of; alone if it knows of none."""
        return cls(number=0, world_size=1) if rank is None else cls(number=rank.number, world_size=rank.world_size)

    @property
    def is_first(self) -> bool:
        """Whether this process writes."""
        return self.number == 0

    @property
    def is_alone(self) -> bool:
        """Whether there are no others."""
        return self.world_size == 1

    def anywhere(self, happened: bool) -> bool:
        """Whether something happened in any of the processes. All have to ask; a GPU does not wait."""
        if self.is_alone:
            return happened
        found = torch.tensor([int(happened)])  # on the CPU, where gloo answers
        distributed.all_reduce(found, op=distributed.ReduceOp.MAX)
        return bool(found)

    def summed(self, tensor: Tensor) -> Tensor:
        """Sum of a tensor over all processes, without gradient."""
        if not self.is_alone:
            tensor = tensor.detach().clone()
            distributed.all_reduce(tensor)
        return tensor

    def of_all(self, value: Value) -> list[Value]:
        """What each process has, in order of their numbers."""
        if self.is_alone:
            return [value]
        found: list[Any] = [None] * self.world_size
        distributed.all_gather_object(found, value)
        return found

    def of_the_first(self, value: Value) -> Value:
        """What the first process has."""
        if self.is_alone:
            return value
        found: list[Any] = [value]
        distributed.broadcast_object_list(found, src=0)
        return found[0]  # type: ignore[no-any-return]

    def wait(self) -> None:
        """Until all have come here."""
        self.anywhere(False)

    def seed(self, seed: int) -> int:
        """Of what is drawn anew for each image, dropout say, where no two processes may draw the same."""
        return seed if self.is_first else derive_seed("rank", seed, self.number)

    def shares(self, images: int, parts: int) -> list[Share]:
        """What this process computes of a batch that is taken in so many parts."""
        return [
            Share(
                images=len(own),
                weight=len(own) / images * (self.world_size if dealt else 1),
                is_dealt=dealt,
            )
            for own, dealt in self._dealt(torch.arange(images), parts)
        ]

    def share_of(self, batch: Tensor, parts: int) -> Tensor:
        """Places (B,) of a batch that this process reads, part after part."""
        return batch if self.is_alone else torch.cat([own for own, _ in self._dealt(batch, parts)])

    def batch_norm(self) -> AbstractContextManager[object]:
        """Inside, a BatchNorm that trains sees the images of all processes."""
        return nullcontext() if self.is_alone else BatchNormOverRanks()

    def _dealt(self, batch: Tensor, parts: int) -> list[tuple[Tensor, bool]]:
        dealt = [(part, len(part) >= self.world_size) for part in batch.tensor_split(parts)]
        return [
            (part.tensor_split(self.world_size)[self.number] if is_dealt else part, is_dealt and not self.is_alone)
            for part, is_dealt in dealt
        ]
