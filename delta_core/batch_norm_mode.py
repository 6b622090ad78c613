"""Computing `F.batch_norm` otherwise inside a context, whatever class of module asks for it."""

from abc import abstractmethod
from typing import Any, NamedTuple

from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode


class BatchNormCall(NamedTuple):
    """Arguments of `F.batch_norm`, under torch's names and in its order."""

    input: Tensor
    """(B, C, ...)"""
    running_mean: Tensor | None
    running_var: Tensor | None
    weight: Tensor | None = None
    bias: Tensor | None = None
    training: bool = False
    momentum: float = 0.1
    eps: float = 1e-5


class BatchNormMode(TorchFunctionMode):
    """Context in which calls of `F.batch_norm` come to `batch_norm`; of modes within each other the inner one is first.

    No module is replaced, so that a net stays the one that was proven.
    """

    @abstractmethod
    def batch_norm(self, call: BatchNormCall) -> Tensor:
        """What a call gives; `F.batch_norm(*call)` if nothing is to be different."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is F.batch_norm:
            return self.batch_norm(BatchNormCall(*args, **(kwargs or {})))
        return func(*args, **(kwargs or {}))
