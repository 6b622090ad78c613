"""Parallel residual adapters (Rebuffi et al. 2018, srebuffi/residual_adapters): 1 x 1 convolutions beside 3 x 3."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from benchmarks.methods.adapted import AdaptedMethod, is_spatial_conv, own_norms, swap


class ParallelConv(nn.Module):
    """conv(x) + adapter(x), (B, C, H, W) -> (B, D, H', W')."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv
        self.adapter = adapter_conv(conv.in_channels, conv.out_channels)

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        down, across = self.conv.stride
        # A 1 x 1 convolution with this stride, cut apart: on CPU torch 2.14 corrupts memory in the backward pass of the
        # whole (stride 2, 3 channels to 8 or fewer, channels last).
        y: Tensor = self.conv(x) + self.adapter(x[:, :, ::down, ::across])
        return y


def adapter_conv(in_channels: int, out_channels: int) -> nn.Conv2d:
    """A 1 x 1 convolution as the adapters' code draws it: normal with variance 2 / out_channels, not zero."""
    conv = nn.Conv2d(in_channels, out_channels, 1, bias=False)
    nn.init.normal_(conv.weight, std=(2 / out_channels) ** 0.5)
    return conv


@dataclass(frozen=True, kw_only=True)
class ParallelAdapters(AdaptedMethod):
    """Train 1 x 1 convolutions beside all spatial convolutions, the task's own norms, and the head."""

    name: ClassVar[str] = "parallel_adapters"

    def adapt(self, net: nn.Module) -> None:
        """Put an adapter beside each spatial convolution; on ConvNeXt that is the depthwise one."""
        own_norms(net)
        swap(net, is_spatial_conv, ParallelConv)
