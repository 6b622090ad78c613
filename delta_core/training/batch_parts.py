"""A batch in parts that fit into memory: the gradient of the whole, up to rounding."""

import math
import warnings
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from delta_core.training.errors import UserError
from delta_core.training.objective import Objective

if TYPE_CHECKING:
    from lightning_fabric import Fabric


class BatchParts:
    """Adds up gradients of equal parts of a batch. Where a device has too little memory, parts are halved.

    Args:
        objective: what is minimised; only one that is a mean over images can be taken in parts.
        module: what is trained, as Fabric wrapped it.
        fabric: device and precision.
        micro_batch: images of a part at most; None = the batch as a whole.
    """

    def __init__(self, objective: Objective, module: nn.Module, fabric: "Fabric", micro_batch: int | None) -> None:
        if micro_batch is not None and not _is_mean(objective):
            raise UserError(
                f"micro batch is {micro_batch}, but the loss {type(objective).__name__} is no mean over images, "
                "which parts of a batch could add up to; leave micro_batch out."
            )
        self.micro_batch = micro_batch
        self._objective = objective
        self._module = module
        self._fabric = fabric

    def backward(self, inputs: Tensor, labels: Tensor, index: Tensor) -> Tensor:
        """Leave the gradient of a batch, and return its loss () as a whole, without gradient.

        A warning says so when parts are halved, from here on: the step stays that of the whole batch.

        Raises:
            UserError: if a batch does not fit, and its parts would train something else.
        """
        while True:
            try:
                return self._backward(inputs, labels, index)
            except torch.OutOfMemoryError as error:
                self._halve(len(index), error)

    def _backward(self, inputs: Tensor, labels: Tensor, index: Tensor) -> Tensor:
        count = len(index)
        parts = math.ceil(count / (self.micro_batch or count))
        total = torch.zeros((), device=self._fabric.device)
        for part in zip(*(tensor.tensor_split(parts) for tensor in (inputs, labels, index)), strict=True):
            loss = self._objective.loss(self._module, *part) * (len(part[-1]) / count)
            self._fabric.backward(loss)
            total += loss.detach()
        return total

    def _halve(self, count: int, error: torch.OutOfMemoryError) -> None:
        now = min(self.micro_batch or count, count)
        smaller = math.ceil(now / 2)
        if now == 1 or not _is_mean(self._objective):
            raise error
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
