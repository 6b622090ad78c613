"""Gate-weighted sums over the nodes of a block: one pass over the nodes for each sum, forward and backward.

The plain way, one `addcmul` for each of the k(k+1)/2 skips, reads and writes every sum as often as it has skips, and
its backward does so again for every node and every gate. Here a sum, its gates' gradients and its nodes' gradients read
the nodes once: as three small matrix products over one buffer, or on CUDA as kernels that read nodes where they lie.

Shape legend: B batch, k sub-blocks, S = k(k+1)/2 skips, D = C * H * W values of a node.
"""

import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import cache, partial
from types import ModuleType
from typing import Any, Protocol, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from delta_core.plain_sum import plain_sum, skip_weights
from delta_core.recorded import is_recorded
from delta_core.skip_sum_store import BufferedNodes


class NodeStore(Protocol):
    """Nodes of one block and, while backward is on, gradients of their sums. Shapes are those of `BufferedNodes`."""

    dtype: torch.dtype
    """Of all sums."""
    gates: list[Tensor]
    """(B, nodes) of each sum so far."""

    def put(self, place: int, node: Tensor) -> None: ...  # noqa: D102
    def total(self, gates: Tensor, residual: Tensor | None) -> Tensor: ...  # noqa: D102
    def start_backward(self) -> None: ...  # noqa: D102
    def put_gradient(self, place: int, grad: Tensor) -> None: ...  # noqa: D102
    def gates_gradient(self, grad: Tensor, count: int) -> Tensor: ...  # noqa: D102
    def node_gradient(self, weights: Tensor, place: int) -> Tensor: ...  # noqa: D102
    def end_backward(self) -> None: ...  # noqa: D102


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
        self.store: NodeStore | None = None
        self.token: Tensor | None = None

    def __call__(self, node: Tensor, own: Tensor | None = None, residual: Tensor | None = None) -> Tensor:  # noqa: D102
        self.put(node)
        gates = self._gates_so_far()
        if own is None or own is node:
            return self._sum(gates, node, residual)
        others = torch.cat([gates[:, :-1], torch.zeros_like(gates[:, -1:])], dim=1)
        return torch.addcmul(self._sum(others, node, residual), skip_weights(gates[:, -1:])[0], own)

    def put(self, node: Tensor) -> None:
        """Take the next node, as a call does; its sum is then made by `of`, some samples at a time."""
        self.nodes.append(node)

    def of(self, samples: slice) -> Tensor:
        """The sum of the nodes so far, of some samples alone, where no gradient is needed."""
        gates = self._gates_so_far()
        return plain_sum(gates if len(gates) == 1 else gates[samples], [node[samples] for node in self.nodes])

    def again(self) -> Callable[[], Tensor] | None:
        """What makes the last sum, without residual or `own`, once more in the backward pass, bit for bit.

        Its nodes are kept until then for the gradients of the gates, if any are; if not, None.
        """
        return None if self.store is None else partial(_total, self.store, self.store.gates[-1])

    def _gates_so_far(self) -> Tensor:
        """Those of the skips that leave the nodes so far and enter the next one."""
        target = len(self.nodes)
        first = target * (target - 1) // 2
        return self.gates[:, first : first + target]

    def _sum(self, gates: Tensor, node: Tensor, residual: Tensor | None) -> Tensor:
        # A compiler fuses the plain sums itself. Products with gates per channel would not be of matrices.
        if is_recorded() or gates.ndim == 3:
            return plain_sum(gates, self.nodes, residual)
        fused = fused_kernels(node.device)
        if not torch.is_grad_enabled():  # copying nodes into a buffer pays where there is a backward pass
            return (plain_sum if fused is None else fused.sum_of)(gates, self.nodes, residual)
        if self.store is None:
            self.store = BufferedNodes(node, self.k) if fused is None else fused.NodesInPlace(node)
            self.token = torch.zeros(())
        gates = gates.expand(len(node), len(self.nodes)).to(self.store.dtype)
        if residual is not None:
            residual = residual.to(self.store.dtype)
        found = _StoredSum.apply(gates, node, residual, self.token, self.store)
        total, self.token = cast(tuple[Tensor, Tensor], found)
        return total


@cache
def fused_kernels(device: torch.device) -> ModuleType | None:
    """`delta_core.skip_sum_triton` where its kernels can run: on CUDA, with Triton and the C compiler that it needs.

    They are tried against the plain sums first, once for each device.
    """
    if device.type != "cuda":
        return None
    try:
        from delta_core import skip_sum_triton

        skip_sum_triton.check(device)
    except ImportError:
        return None
    except Exception as error:  # noqa: BLE001 - of Triton, a compiler or a driver: none is a reason not to train
        warnings.warn(
            f"Triton's kernels of skip sums do not work on {device}, so that torch's own products are used: "
            f"{type(error).__name__}: {str(error)[:300]}",
            stacklevel=2,
        )
        return None
    return skip_sum_triton


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


def _as_typed(tensor: Tensor) -> AbstractContextManager[Any]:
    """Autocast is off inside: products are of the type of the nodes. The meta device knows no autocast."""
    return nullcontext() if tensor.is_meta else torch.autocast(tensor.device.type, enabled=False)


def _total(store: NodeStore, gates: Tensor) -> Tensor:
    with _as_typed(gates):
        return store.total(gates, None)


class _StoredSum(torch.autograd.Function):
    """One sum. A token makes each sum depend on the one before, so that backward meets the targets from last to first.

    When backward reaches target j, the gradients of the sums of all later targets are known, so the whole gradient of
    node j - 1 is one weighted sum. The token's gradient counts the targets that this pass has met before.
    """

    @staticmethod
    def forward(
        ctx: Any, gates: Tensor, node: Tensor, residual: Tensor | None, token: Tensor, store: NodeStore
    ) -> tuple[Tensor, Tensor]:
        ctx.store, ctx.target = store, gates.shape[1]
        ctx.has_residual = residual is not None
        store.gates.append(gates.detach())
        with _as_typed(node):
            store.put(ctx.target - 1, node)
            total = store.total(gates, residual)
        return total, token.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, met: Tensor) -> tuple[Tensor, Tensor, Tensor | None, Tensor, None]:
        store, target = ctx.store, ctx.target
        last = target + int(met)
        if target == last:  # a pass begins, not always at the last target
            store.start_backward()
        # gates of the skips that leave node `target - 1`, one for each later target
        leaving = torch.stack([gates[:, target - 1] for gates in store.gates[target - 1 : last]], dim=1)
        with _as_typed(grad):
            store.put_gradient(target - 1, grad)
            grad_gates = store.gates_gradient(grad, target)
            grad_node = store.node_gradient(leaving, target - 1)
        if target == 1:
            store.end_backward()
        return grad_gates, grad_node, grad if ctx.has_residual else None, met + 1, None
