"""Gate-weighted sums over the nodes of a block: one pass over the nodes for each sum, forward and backward.

The plain way, one `addcmul` for each of the k(k+1)/2 skips, reads and writes every sum as often as it has skips, and
its backward does so again for every node and every gate. Here all nodes of a block lie in one buffer, so that a sum,
its gates' gradients and its nodes' gradients are three small matrix products, bound by reading the nodes once.

Shape legend: B batch, k sub-blocks, S = k(k+1)/2 skips, D = C * H * W values of a node.
"""

from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


class SkipSums:
    """The sums of one forward pass through a block: call it with every node in order.

    The j-th call takes node j - 1 and returns sum_{i<j} g_ij * node_i, shaped like a node. All nodes of a block have
    one shape.

    Args:
        gates: (B or 1, S), ordered by target, then source.
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
        self.token = torch.zeros(())

    def __call__(self, node: Tensor) -> Tensor:  # noqa: D102
        target = len(self.nodes) + 1
        first = target * (target - 1) // 2
        self.nodes.append(node)
        gates = self.gates[:, first : first + target]
        # Copying nodes into a buffer pays when there is a backward pass; a compiler fuses the plain sums itself.
        if torch.compiler.is_compiling() or not torch.is_grad_enabled():
            return plain_sum(gates, self.nodes)
        if self.store is None:
            self.store = _Store(node, self.k)
        gates = gates.expand(len(node), target).to(node.dtype)
        skips, self.token = cast(tuple[Tensor, Tensor], _StoredSum.apply(gates, node, self.token, self.store))
        return skips


def plain_sum(gates: Tensor, nodes: list[Tensor]) -> Tensor:
    """Sum of nodes, each (B, C, H, W), weighted by gates (B or 1, len(nodes)), one kernel for each."""
    weights = gates[..., None, None, None]
    total = weights[:, 0] * nodes[0]
    for index, node in enumerate(nodes[1:], start=1):
        total = torch.addcmul(total, weights[:, index], node)
    return total


class _Store:
    """Nodes of a block in one buffer (B, k, D), and the gradients of their sums while a backward pass is on."""

    def __init__(self, node: Tensor, k: int) -> None:
        self.shape = node.shape
        self.channels_last = node.is_contiguous(memory_format=torch.channels_last)
        self.nodes = node.new_empty(len(node), k, node[0].numel())
        self.grads: Tensor | None = None
        self.gates: list[Tensor] = []

    def flat(self, node: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, D) in the memory order of the first node."""
        return (node.permute(0, 2, 3, 1) if self.channels_last else node).reshape(len(node), -1)

    def unflat(self, values: Tensor) -> Tensor:
        """(B, D) -> (B, C, H, W)."""
        b, c, h, w = self.shape
        return values.view(b, h, w, c).permute(0, 3, 1, 2) if self.channels_last else values.view(self.shape)


class _StoredSum(torch.autograd.Function):
    """One sum. A token makes each sum depend on the one before, so that backward meets the targets from last to first.

    When backward reaches target j, the gradients of the sums of all later targets are known, so the whole gradient of
    node j - 1 is one product. The token's gradient counts the targets that this pass has met before.
    """

    @staticmethod
    def forward(ctx: Any, gates: Tensor, node: Tensor, token: Tensor, store: _Store) -> tuple[Tensor, Tensor]:
        target = gates.shape[1]
        store.nodes[:, target - 1] = store.flat(node)
        store.gates.append(gates.detach())
        ctx.store, ctx.target = store, target
        with torch.autocast(node.device.type, enabled=False):
            skips = torch.bmm(gates[:, None], store.nodes[:, :target])[:, 0]
        return store.unflat(skips), token.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, met: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        store, target = ctx.store, ctx.target
        last = target + int(met)
        if target == last:  # a pass begins, not always at the last target
            store.grads = torch.empty_like(store.nodes)
        flat = store.flat(grad)
        store.grads[:, target - 1] = flat
        with torch.autocast(grad.device.type, enabled=False):
            grad_gates = torch.bmm(store.nodes[:, :target], flat[:, :, None])[:, :, 0]
            # gates of the skips that leave node `target - 1`, one for each later target
            leaving = torch.stack([gates[:, target - 1] for gates in store.gates[target - 1 : last]], dim=1)
            grad_node = torch.bmm(leaving[:, None], store.grads[:, target - 1 : last])[:, 0]
        if target == 1:
            store.grads = None
        return grad_gates, store.unflat(grad_node), met + 1, None
