"""A batch in parts that fit into memory: the gradient of the whole, up to rounding."""

import math
import warnings
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from delta_core.training.errors import UserError
from delta_core.training.objective import Objective
from delta_core.training.ranks import Ranks

if TYPE_CHECKING:
    from lightning_fabric import Fabric


class BatchParts:
    """Adds up gradients of equal parts of a batch. Where a device has too little memory, parts are halved.

    Args:
        objective: what is minimised; only one that is a mean over images can be taken in parts.
        module: what is trained, as Fabric wrapped it.
        fabric: device and precision.
        micro_batch: images of a part at most, on all processes together; None = the batch as a whole.

    Raises:
        UserError: if the objective cannot be taken in parts and is to be, or dealt to several processes.
    """

    def __init__(self, objective: Objective, module: nn.Module, fabric: "Fabric", micro_batch: int | None) -> None:
        if micro_batch is not None and not _is_mean(objective):
            raise UserError(
                f"micro batch is {micro_batch}, but the loss {type(objective).__name__} is no mean over images, "
                "which parts of a batch could add up to; leave micro_batch out."
            )
        self._ranks = Ranks.behind(fabric)
        if not self._ranks.is_alone and not _is_mean(objective):
            raise UserError(
                f"{self._ranks.world_size} devices share this run, but its loss {type(objective).__name__} is no mean "
                "over images, which shares of a batch could add up to; give it one device."
            )
        self.micro_batch = micro_batch
        self._objective = objective
        self._module = module
        self._fabric = fabric

    def share_of(self, batch: Tensor) -> Tensor:
        """Places of a batch (B,) whose images this process reads."""
        return self._ranks.share_of(batch, self._parts(len(batch)))

    def backward(self, inputs: Tensor, labels: Tensor, index: Tensor, *, batch_size: int) -> Tensor:
        """Leave the gradient of a batch, and return its loss () as a whole, without gradient.

        A warning says so when parts are halved, from here on: the step stays that of the whole batch.

        Args:
            inputs: this process's share of the batch.
            labels: the same.
            index: the same, places in the split.
            batch_size: images of the batch on all processes together.

        Raises:
            UserError: if a batch does not fit, and its parts would train something else.
        """
        while True:
            try:
                return self._backward(inputs, labels, index, batch_size)
            except torch.OutOfMemoryError as error:
                self._halve(batch_size, error)

    def _parts(self, batch_size: int) -> int:
        return math.ceil(batch_size / (self.micro_batch or batch_size))

    def _backward(self, inputs: Tensor, labels: Tensor, index: Tensor, batch_size: int) -> Tensor:
        shares = self._ranks.shares(batch_size, self._parts(batch_size))
        sizes = [share.images for share in shares]
        total = torch.zeros((), device=self._fabric.device)
        for share, *part in zip(shares, *(tensor.split(sizes) for tensor in (inputs, labels, index)), strict=True):
            with self._alone_until(share is shares[-1]):
                with self._ranks.batch_norm() if share.is_dealt else nullcontext():
                    loss = self._objective.loss(self._module, *part) * share.weight
                self._fabric.backward(loss)
            total += loss.detach()
        return self._ranks.summed(total) / self._ranks.world_size

    def _alone_until(self, is_last: bool) -> AbstractContextManager[None]:
        """Gradients of all processes are put together once a batch, with its last part."""
        if self._ranks.is_alone or is_last:
            return nullcontext()
        return self._fabric.no_backward_sync(self._module)  # type: ignore[arg-type]

    def _halve(self, count: int, error: torch.OutOfMemoryError) -> None:
        now = min(self.micro_batch or count, count)
        smaller = math.ceil(now / 2)
        if now == 1 or not _is_mean(self._objective):
            raise error
        if not self._ranks.is_alone:  # the others wait for this one in the middle of a step
            raise UserError(
                f"A share of {now} images on {self._ranks.world_size} devices does not fit into the memory of "
                f"{self._fabric.device}; give micro batch {smaller}, or more devices."
            ) from error
        if any(isinstance(each, _BatchNorm) and each.training for each in self._module.modules()):
            raise UserError(
                f"{now} images do not fit into the memory of {self._fabric.device}, and a BatchNorm that trains would "
                f"see a part of the batch alone; give micro batch {smaller}, which is a training of its own, or "
                "another device."
            ) from error
        for parameter in self._module.parameters():
            parameter.grad = None  # of the parts that did fit
        self.micro_batch = smaller
        if self._fabric.device.type == "cuda":
            torch.cuda.empty_cache()
        warnings.warn(
            f"{now} images do not fit into the memory of {self._fabric.device}: gradients of {smaller} at a time are "
            f"added up from here on. The batch stays {count}, and the step is the same up to rounding.",
            stacklevel=4,
        )


def _is_mean(objective: Objective) -> bool:
    return type(objective) is Objective
