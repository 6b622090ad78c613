"""Gate-weighted sums over the nodes of a block: one pass over the nodes for each sum, forward and backward.

The plain way, one `addcmul` for each of the k(k+1)/2 skips, reads and writes every sum as often as it has skips, and
its backward does so again for every node and every gate. Here all nodes of a block lie in one buffer, so that a sum,
its gates' gradients and its nodes' gradients are three small matrix products, bound by reading the nodes once.

Shape legend: B batch, k sub-blocks, S = k(k+1)/2 skips, D = C * H * W values of a node.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from delta_core.recorded import is_recorded


class SkipSums:
    """The sums of one forward pass through a block: call it with every node in order.

    The j-th call takes node j - 1 and returns residual + sum_{i<j} g_ij * node_i, shaped like a node. All nodes of a
    block have one shape. `own`, if given, is what the last skip, (j-1) -> j, carries in place of node j - 1; without
    `residual` the sum starts at 0.

    Args:
        gates: (B or 1, S), ordered by target, then source; or (B or 1, S, C), one for each channel.
        k: number of sub-blocks.

    Example:
        >>> sums = SkipSums(torch.tensor([[0.5, 1.0, 2.0]]), k=2)
        >>> sums(torch.ones(1, 1, 1, 1)).item()
        0.5
        >>> sums(torch.full((1, 1, 1, 1), 10.0)).item()
        21.0
    """

    def __init__(self, gates: Tensor, k: int) -> None:
        self.gates = gates
        self.k = k
        self.nodes: list[Tensor] = []
        self.store: _Store | None = None
        self.token: Tensor | None = None

    def __call__(self, node: Tensor, own: Tensor | None = None, residual: Tensor | None = None) -> Tensor:  # noqa: D102
        self.put(node)
        gates = self._gates_so_far()
        if own is None or own is node:
            return self._sum(gates, node, residual)
        others = torch.cat([gates[:, :-1], torch.zeros_like(gates[:, -1:])], dim=1)
        return torch.addcmul(self._sum(others, node, residual), _weights(gates[:, -1:])[0], own)

    def put(self, node: Tensor) -> None:
        """Take the next node, as a call does; its sum is then made by `of`, some samples at a time."""
        self.nodes.append(node)

    def of(self, samples: slice) -> Tensor:
        """The sum of the nodes so far, of some samples alone, where no gradient is needed."""
        gates = self._gates_so_far()
        return plain_sum(gates if len(gates) == 1 else gates[samples], [node[samples] for node in self.nodes])

    def _gates_so_far(self) -> Tensor:
        """Those of the skips that leave the nodes so far and enter the next one."""
        target = len(self.nodes)
        first = target * (target - 1) // 2
        return self.gates[:, first : first + target]

    def _sum(self, gates: Tensor, node: Tensor, residual: Tensor | None) -> Tensor:
        # Copying nodes into a buffer pays when there is a backward pass; a compiler fuses the plain sums itself.
        # Products with gates per channel would not be of matrices.
        plain = is_recorded() or not torch.is_grad_enabled()
        if plain or gates.ndim == 3:
            return plain_sum(gates, self.nodes, residual)
        if self.store is None:
            self.store = _Store(node, self.k)
            self.token = torch.zeros(())
        gates = gates.expand(len(node), len(self.nodes)).to(self.store.dtype)
        if residual is not None:
            residual = residual.to(self.store.dtype)
        found = _StoredSum.apply(gates, node, residual, self.token, self.store)
        total, self.token = cast(tuple[Tensor, Tensor], found)
        return total


def plain_sum(gates: Tensor, nodes: list[Tensor], residual: Tensor | None = None) -> Tensor:
    """Residual and nodes, each (B, C, H, W), the nodes weighted by gates (B or 1, len(nodes)); one kernel for each.

    Gates (B or 1, len(nodes), C) weight each channel by itself.
    """
    first, *others = _weights(gates)
    total = first * nodes[0] if residual is None else torch.addcmul(residual, first, nodes[0])
    for factor, node in zip(others, nodes[1:], strict=True):
        total.addcmul_(factor, node)
    return total


def weigh(gates: Tensor, node: Tensor) -> Tensor:
    """A node (B, C, H, W) times the gates of one skip, (B or 1,) or (B or 1, C)."""
    return _weights(gates[:, None])[0] * node


def _weights(gates: Tensor) -> tuple[Tensor, ...]:
    """Gates (B or 1, skips) or (B or 1, skips, C), one factor of nodes (B, C, H, W) for each skip."""
    return (gates[..., None, None] if gates.ndim == 3 else gates[..., None, None, None]).unbind(1)


LARGE_SAMPLE_BYTES = 2**20
"""Of nodes with larger samples a batch fits into no cache. Measured on the stages of a resnet50 at 224 px, batch 8: one
by one, sums take 0.86 and 0.62 of their time in the first two, whose samples are larger, and more in the others."""


def best_one_by_one(node: Tensor) -> bool:
    """Whether samples of a node (B, C, H, W) are best summed one by one, where no gradient is needed.

    Large ones on CPU are: what is made on the way to the sum, and read again at once, then stays in the cache.
    """
    return (
        not (is_recorded() or torch.is_grad_enabled())
        and len(node) > 1
        and node.device.type == "cpu"
        and node[0].numel() * node.element_size() >= LARGE_SAMPLE_BYTES
    )


CPU_BUFFER_BYTES = 16 * 2**20
"""Larger buffers are split by samples on CPU: glibc maps what is above 32 MiB anew each time, page by page, which costs
more than the sums."""


class _Store:
    """Nodes of a block in buffers (b, k, D) of a few samples each, and gradients of their sums while backward is on."""

    def __init__(self, node: Tensor, k: int) -> None:
        self.shape = node.shape
        self.dtype = node.dtype
        """Of all sums, as without a store; under autocast later nodes may have another type, and are rounded."""
        self.channels_last = node.is_contiguous(memory_format=torch.channels_last)
        self.k = k
        self.nodes = self.buffers(node)
        self.grads: list[Tensor] = []
        self.gates: list[Tensor] = []

    def buffers(self, like: Tensor) -> list[Tensor]:
        """Empty buffers for k nodes."""
        batch, size = len(like), like[0].numel()
        at_once = batch
        if like.device.type == "cpu":
            at_once = max(1, CPU_BUFFER_BYTES // (self.k * size * like.element_size()))
        return [like.new_empty(len(part), self.k, size) for part in torch.empty(batch).split(at_once)]

    def flat(self, node: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, D) in the memory order of the first node."""
        return (node.permute(0, 2, 3, 1) if self.channels_last else node).reshape(len(node), -1)

    def weighted(self, buffers: list[Tensor], weights: Tensor, first: int, start: Tensor | None = None) -> Tensor:
        """`start` (B, C, H, W), or 0, plus the places `first`.. of the buffers, weighted by (B, places)."""
        layout = torch.channels_last if self.channels_last else torch.contiguous_format
        out = torch.empty(self.shape, dtype=buffers[0].dtype, device=buffers[0].device, memory_format=layout)
        if start is not None:
            out.copy_(start)
        sizes = [len(buffer) for buffer in buffers]
        last = first + weights.shape[1]
        for buffer, weight, part in zip(buffers, weights.split(sizes), self.flat(out).split(sizes), strict=True):
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


def _as_typed(tensor: Tensor) -> AbstractContextManager[Any]:
    """Autocast is off inside: products are of the type of the nodes. The meta device knows no autocast."""
    return nullcontext() if tensor.is_meta else torch.autocast(tensor.device.type, enabled=False)


class _StoredSum(torch.autograd.Function):
    """One sum. A token makes each sum depend on the one before, so that backward meets the targets from last to first.

    When backward reaches target j, the gradients of the sums of all later targets are known, so the whole gradient of
    node j - 1 is one product. The token's gradient counts the targets that this pass has met before.
    """

    @staticmethod
    def forward(
        ctx: Any, gates: Tensor, node: Tensor, residual: Tensor | None, token: Tensor, store: _Store
    ) -> tuple[Tensor, Tensor]:
        ctx.store, ctx.target = store, gates.shape[1]
        ctx.has_residual = residual is not None
        store.gates.append(gates.detach())
        with _as_typed(node):
            _put(store.nodes, ctx.target - 1, store.flat(node))
            total = store.weighted(store.nodes, gates, 0, residual)
        return total, token.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, met: Tensor) -> tuple[Tensor, Tensor, Tensor | None, Tensor, None]:
        store, target = ctx.store, ctx.target
        last = target + int(met)
        if target == last:  # a pass begins, not always at the last target
            store.grads = store.buffers(grad)
        flat = store.flat(grad)
        # gates of the skips that leave node `target - 1`, one for each later target
        leaving = torch.stack([gates[:, target - 1] for gates in store.gates[target - 1 : last]], dim=1)
        with _as_typed(grad):
            _put(store.grads, target - 1, flat)
            grad_gates = _products(store.nodes, target, flat)
            grad_node = store.weighted(store.grads, leaving, target - 1)
        if target == 1:
            store.grads = []
        return grad_gates, grad_node, grad if ctx.has_residual else None, met + 1, None
