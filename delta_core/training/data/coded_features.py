"""Features as 8-bit numbers: every channel of every image has a lowest value and a step of its own.

A code c stands for lowest + c * step, so that a number is off by at most half a step, and a step is 1/255 of the range
of its channel. What an image is coded as depends on the image alone.

Shape legend: N images, B batch, C channels, H x W places, F pooled features (one channel of F places).

    bytes of an image    4 C of the lowest values, 4 C of the steps, then the codes, channels last
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from delta_core.training.data.splits import channels_last
from delta_core.weights import Preprocessing

CODES = 255
"""Steps between the lowest and the highest value."""
RANGE_BYTES = 8
"""Of each channel: two numbers in float32."""


def coded_bytes(shape: tuple[int, ...]) -> int:
    """Bytes of one image whose features are (C, H, W) or (F,).

    >>> coded_bytes((64, 56, 56)), coded_bytes((512,))
    (201216, 520)
    """
    return math.prod(shape) + RANGE_BYTES * _channels(shape)


def coded(features: Tensor) -> Tensor:
    """Features (B, C, H, W) or (B, F) float32 as codes (B, bytes) uint8; what is not finite decodes as not finite."""
    values = features.unsqueeze(-1) if features.ndim == 2 else features.permute(0, 2, 3, 1).flatten(1, 2)
    lowest, highest = torch.aminmax(values, dim=1, keepdim=True)
    step = (highest - lowest) / CODES
    codes = ((values - lowest) / step.clamp(min=torch.finfo(step.dtype).tiny)).round_()
    ranges = torch.cat([lowest, step], dim=1).view(torch.uint8)
    return torch.cat([ranges.flatten(1), codes.nan_to_num_(nan=0.0, posinf=0.0).to(torch.uint8).flatten(1)], dim=1)


def decoded(codes: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Features (B, *shape) float32 from codes (B, bytes), channels last."""
    count, channels = len(codes), _channels(shape)
    head = RANGE_BYTES * channels
    ranges = codes[:, :head].clone(memory_format=torch.contiguous_format).view(torch.float32)  # a copy is aligned
    lowest, step = ranges.view(count, 2, 1, channels).unbind(1)
    values = codes[:, head:].reshape(count, -1, channels).float().mul_(step).add_(lowest)
    if len(shape) == 1:
        return values.view(count, *shape)
    return values.view(count, *shape[1:], channels).permute(0, 3, 1, 2)


def _channels(shape: tuple[int, ...]) -> int:
    return 1 if len(shape) == 1 else shape[0]


@dataclass(frozen=True, kw_only=True)
class CodedSplit:
    """Features of a shape as codes (N, bytes), in memory or mapped from a file."""

    codes: Tensor
    shape: tuple[int, ...]
    labels: Tensor
    preprocessing: Preprocessing

    def batches(self, batch_size: int, *, device: torch.device, order: Tensor | None = None) -> Iterator[Tensor]:
        """Inputs (B, ...) float32, decoded on the device, in the given order of indices (N,), else in stored order."""
        order = torch.arange(len(self.labels)) if order is None else order
        for index in order.split(batch_size):
            yield channels_last(decoded(self.codes[index].to(device, non_blocking=True), self.shape))
