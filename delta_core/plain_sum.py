"""Gate-weighted sums as torch's own operations, one for each skip: the reference of every faster way.

Shape legend: B batch, C channels, H W size, S skips.
"""

import torch
from torch import Tensor


def plain_sum(gates: Tensor, nodes: list[Tensor], residual: Tensor | None = None) -> Tensor:
    """Residual and nodes, each (B, C, H, W), the nodes weighted by gates (B or 1, len(nodes)); one kernel for each.

    Gates (B or 1, len(nodes), C) weight each channel by itself.
    """
    first, *others = skip_weights(gates)
    total = first * nodes[0] if residual is None else torch.addcmul(residual, first, nodes[0])
    for factor, node in zip(others, nodes[1:], strict=True):
        total.addcmul_(factor, node)
    return total


def weigh(gates: Tensor, node: Tensor) -> Tensor:
    """A node (B, C, H, W) times the gates of one skip, (B or 1,) or (B or 1, C)."""
    return skip_weights(gates[:, None])[0] * node


def skip_weights(gates: Tensor) -> tuple[Tensor, ...]:
    """Gates (B or 1, skips) or (B or 1, skips, C), one factor of nodes (B, C, H, W) for each skip."""
    return (gates[..., None, None] if gates.ndim == 3 else gates[..., None, None, None]).unbind(1)
