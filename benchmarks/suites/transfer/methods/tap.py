"""A look inside a net while it runs."""

from typing import Any

from torch import Tensor, nn


class Tap:
    """Keeps what a module took in and put out in the last forward pass, with its graph, in float32.

    Example:
        >>> import torch
        >>> net = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
        >>> tap = Tap(net[1])
        >>> net(torch.zeros(3, 2, 2)).shape, tap.taken_in.shape, tap.put_out.shape
        (torch.Size([3, 2]), torch.Size([3, 4]), torch.Size([3, 2]))
    """

    taken_in: Tensor
    put_out: Tensor

    def __init__(self, module: nn.Module) -> None:
        module.register_forward_hook(self._keep)

    def _keep(self, _: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        self.taken_in, self.put_out = inputs[0].float(), output.float()
