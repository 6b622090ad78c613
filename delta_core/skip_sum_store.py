"""Nodes of a block in one buffer, so that a sum and its gradients are three small matrix products.

Shape legend: B batch, b samples of a part, C channels, H W size, k sub-blocks, D = C * H * W values of a node.
"""

import torch
from torch import Tensor

CPU_BUFFER_BYTES = 16 * 2**20
"""Larger buffers are split by samples on CPU: glibc maps what is above 32 MiB anew each time, page by page, which costs
more than the sums."""


class BufferedNodes:
    """Nodes in buffers (b, k, D) of a few samples each, and gradients of their sums while backward is on."""

    def __init__(self, node: Tensor, k: int) -> None:
        self.shape = node.shape
        self.dtype = node.dtype
        """Of all sums, as without a store; under autocast later nodes may have another type, and are rounded."""
        self.channels_last = node.is_contiguous(memory_format=torch.channels_last)
        self.k = k
        self.nodes = self._buffers(node)
        self.grads: list[Tensor] = []
        self.gates: list[Tensor] = []

    def put(self, place: int, node: Tensor) -> None:
        """Take a node (B, C, H, W)."""
        _put(self.nodes, place, self._flat(node))

    def total(self, gates: Tensor, residual: Tensor | None) -> Tensor:
        """The residual, or 0, and the first nodes, weighted by gates (B, nodes): (B, C, H, W)."""
        return self._weighted(self.nodes, gates, 0, residual)

    def start_backward(self) -> None:
        """Make room for gradients of sums."""
        self.grads = [torch.empty_like(buffer) for buffer in self.nodes]

    def put_gradient(self, place: int, grad: Tensor) -> None:
        """Take the gradient (B, C, H, W) of the sum of all nodes up to this place."""
        _put(self.grads, place, self._flat(grad))

    def gates_gradient(self, grad: Tensor, count: int) -> Tensor:
        """Inner products (B, count) of the gradient of a sum with the first nodes."""
        return _products(self.nodes, count, self._flat(grad))

    def node_gradient(self, weights: Tensor, place: int) -> Tensor:
        """Gradients of sums from this place on, weighted by (B, sums): (B, C, H, W)."""
        return self._weighted(self.grads, weights, place)

    def end_backward(self) -> None:
        """Drop the gradients."""
        self.grads = []

    def _buffers(self, like: Tensor) -> list[Tensor]:
        """Empty buffers for k nodes."""
        batch, size = len(like), like[0].numel()
        at_once = batch
        if like.device.type == "cpu":
            at_once = max(1, CPU_BUFFER_BYTES // (self.k * size * like.element_size()))
        return [like.new_empty(len(part), self.k, size) for part in torch.empty(batch).split(at_once)]

    def _flat(self, node: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, D) in the memory order of the first node."""
        return (node.permute(0, 2, 3, 1) if self.channels_last else node).reshape(len(node), -1)

    def _weighted(self, buffers: list[Tensor], weights: Tensor, first: int, start: Tensor | None = None) -> Tensor:
        """`start` (B, C, H, W), or 0, plus the places `first`.. of the buffers, weighted by (B, places)."""
        layout = torch.channels_last if self.channels_last else torch.contiguous_format
        out = torch.empty(self.shape, dtype=buffers[0].dtype, device=buffers[0].device, memory_format=layout)
        if start is not None:
            out.copy_(start)
        sizes = [len(buffer) for buffer in buffers]
        last = first + weights.shape[1]
        for buffer, weight, part in zip(buffers, weights.split(sizes), self._flat(out).split(sizes), strict=True):
            part[:, None].baddbmm_(weight[:, None], buffer[:, first:last], beta=float(start is not None))
        return out


def _put(buffers: list[Tensor], place: int, values: Tensor) -> None:
    """Write values (B, D) at a place of the buffers (b, k, D)."""
    for buffer, part in zip(buffers, values.split([len(buffer) for buffer in buffers]), strict=True):
        buffer[:, place] = part


def _products(buffers: list[Tensor], places: int, values: Tensor) -> Tensor:
    """Inner products (B, places) of values (B, D) with the first places of the buffers."""
    sizes = [len(buffer) for buffer in buffers]
    parts = zip(buffers, values.split(sizes), strict=True)
    # The row vector on the left: with a column on the right CPU kernels are thirty times slower for several samples.
    return torch.cat([torch.bmm(part[:, None], buffer[:, :places].mT)[:, 0] for buffer, part in parts])
