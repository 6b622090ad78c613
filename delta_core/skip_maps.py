"""S_w: what a skip does to the node that it carries, the identity plus a map that starts at zero (paper, Eq. 3 and 4).

The gate weights the node before the map reads it: S_w (g x) = g S_w x for a gate per skip, and with one map for all
skips that enter a node it is applied once, to their gated sum.

Shape legend: B batch, C channels, H W size, k sub-blocks, r rank.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from delta_core.config import DeltaConfig, SkipMap
from delta_core.families import Block
from delta_core.recorded import is_recorded


class ChannelMap(nn.Module):
    """A diagonal matrix: one weight for each channel, (B, C, H, W) -> (B, C, H, W)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        return x * self.weight[:, None, None]


class LowRankMap(nn.Module):
    """A matrix of rank r as two 1 x 1 convolutions, C -> r -> C; 2 r C parameters.

    The first starts as torch draws it and the second at zero, as in LoRA (Hu et al. 2022).
    """

    def __init__(self, channels: int, rank: int) -> None:
        super().__init__()
        self.down = nn.Conv2d(channels, rank, 1, bias=False)
        self.up = nn.Conv2d(rank, channels, 1, bias=False)
        nn.init.zeros_(self.up.weight)

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        mapped: Tensor = self.up(self.down(x))
        return mapped


def add_map(
    total: Tensor, skip_map: nn.Module, x: Tensor, scale: float, again: Callable[[], Tensor] | None = None
) -> None:
    """Add scale * map(x) to `total` (B, C, H, W) in place; `total` must not be read for a gradient, so not be x.

    A low-rank map is added by the same product that makes it, where pixels are rows of C values. A compiler fuses
    convolutions and sums itself, and exported convolutions are read by more tools than products.

    Args:
        total: what is added to.
        skip_map: one of `build_maps`.
        x: (B, C, H, W).
        scale: of what is added.
        again: makes x once more in the backward pass, bit for bit, so that it needs not be kept until then.
    """
    plain = is_recorded() or (not x.is_meta and torch.is_autocast_enabled(x.device.type))
    if not plain and isinstance(skip_map, LowRankMap):
        down, up = skip_map.down.weight, skip_map.up.weight
        if _has_rows(total) and _has_rows(x):
            _AddLowRank.apply(total, x, down.flatten(1), up.flatten(1), scale, again)
            return
        if again is not None:
            _AddConvolved.apply(total, x, down, up, scale, again)
            return
    total.add_(skip_map(x), alpha=scale)


class _AddLowRank(torch.autograd.Function):
    """total += scale * x @ down.T @ up.T, over rows: x (N, C) each pixel's, down (r, C), up (C, r).

    Autograd's own way back through a sum that is made in place on a view copies the gradient three times, which took a
    twentieth of a training step of Delta (4) on resnet50. The products here are those that it makes, bit for bit.
    """

    @staticmethod
    def forward(
        ctx: Any,
        total: Tensor,
        x: Tensor,
        down: Tensor,
        up: Tensor,
        scale: float,
        again: Callable[[], Tensor] | None,
    ) -> Tensor:
        inner = _rows(x) @ down.T
        _rows(total).addmm_(inner, up.T, alpha=scale)
        ctx.mark_dirty(total)
        ctx.save_for_backward(inner, down, up, *([x] if again is None else []))
        ctx.scale, ctx.again, ctx.shape = scale, again, x.shape
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        inner, down, up, *kept = ctx.saved_tensors
        rows = _rows(grad)
        of_inner = _times(rows @ up, ctx.scale)
        of_x = _like(of_inner @ down, ctx.shape) if ctx.needs_input_grad[1] else None
        of_down = None
        if ctx.needs_input_grad[2]:
            of_down = of_inner.T @ _rows(kept[0] if kept else ctx.again())
        of_up = _times(rows.T @ inner, ctx.scale) if ctx.needs_input_grad[3] else None
        return grad, of_x, of_down, of_up, None, None


class _AddConvolved(torch.autograd.Function):
    """total += scale * up(down(x)) by 1 x 1 convolutions, in any layout. Gradients are autograd's, bit for bit."""

    @staticmethod
    def forward(
        ctx: Any, total: Tensor, x: Tensor, down: Tensor, up: Tensor, scale: float, again: Callable[[], Tensor]
    ) -> Tensor:
        inner = F.conv2d(x, down)
        total.add_(F.conv2d(inner, up), alpha=scale)
        ctx.mark_dirty(total)
        ctx.save_for_backward(inner, down, up)
        ctx.scale, ctx.again = scale, again
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        inner, down, up = ctx.saved_tensors
        of_inner, of_up = _of_convolution(_times(grad, ctx.scale), inner, up)
        of_x, of_down = _of_convolution(of_inner, ctx.again(), down)
        return grad, of_x, of_down, of_up, None, None


def _of_convolution(grad: Tensor, x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of input and weight of a 1 x 1 convolution."""
    whole = ((1, 1), (0, 0), (1, 1), False, (0, 0), 1)  # stride, padding, dilation, transposed, output padding, groups
    of_x, of_weight, _ = torch.ops.aten.convolution_backward(grad, x, weight, None, *whole, (True, True, False))
    return of_x, of_weight


def _times(x: Tensor, scale: float) -> Tensor:
    return x if scale == 1 else x.mul(scale)


def _has_rows(x: Tensor) -> bool:
    return x.is_contiguous(memory_format=torch.channels_last)


def _rows(x: Tensor) -> Tensor:
    """(B, C, H, W) as (B * H * W, C), a view in channels-last layout."""
    return x.permute(0, 2, 3, 1).flatten(0, 2)


def _like(rows: Tensor, shape: torch.Size) -> Tensor:
    """(B * H * W, C) as a view (B, C, H, W)."""
    batch, channels, height, width = shape
    return rows.view(batch, height, width, channels).permute(0, 3, 1, 2)


def _depthwise(channels: int) -> nn.Conv2d:
    conv = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
    nn.init.zeros_(conv.weight)
    return conv


def build_maps(block: Block, config: DeltaConfig) -> nn.ModuleList:
    """Maps of one block, each (B, C, H, W) -> (B, C, H, W) with what is added to the identity; empty for the identity.

    With `skip_map_per="node"` map j - 1 belongs to the sum that enters sub-block j (where nodes are concatenated: to
    what it reads, all nodes before it side by side), with `"skip"` they are ordered as the gates are.
    """
    if config.skip_map == "identity":
        return nn.ModuleList()
    nodes, k = block.node_channels, len(block.sub_blocks)
    if config.skip_map_per == "skip":
        widths = [nodes[source] for target in range(1, k + 1) for source in range(target)]
    elif block.wiring == "concat":
        widths = [sum(nodes[:target]) for target in range(1, k + 1)]
    else:
        widths = [block.out_channels] * k
    return nn.ModuleList(_map(config.skip_map, width, config.skip_map_rank) for width in widths)


def _map(kind: SkipMap, channels: int, rank: int) -> nn.Module:
    if kind == "channel":
        return ChannelMap(channels)
    if kind == "depthwise":
        return _depthwise(channels)
    return LowRankMap(channels, max(1, min(rank, channels // 2)))
