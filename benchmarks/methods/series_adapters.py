"""Series residual adapters (Rebuffi et al. 2017, srebuffi/residual_adapters): 1 x 1 convolutions after 3 x 3."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from benchmarks.methods.adapted import AdaptedMethod, is_spatial_conv, own_norms, swap
from benchmarks.methods.parallel_adapters import adapter_conv


class SeriesConv(nn.Module):
    """y + adapter(norm(y)) with y = conv(x), (B, C, H, W) -> (B, D, H', W')."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv
        self.norm = nn.BatchNorm2d(conv.out_channels)
        self.adapter = adapter_conv(conv.out_channels, conv.out_channels)

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        y = self.conv(x)
        added: Tensor = y + self.adapter(self.norm(y))
        return added


@dataclass(frozen=True, kw_only=True)
class SeriesAdapters(AdaptedMethod):
    """Train a norm and a 1 x 1 convolution after all spatial convolutions, the task's own norms, and the head."""

    name: ClassVar[str] = "series_adapters"

    def adapt(self, net: nn.Module) -> None:
        """Put an adapter behind each spatial convolution; on ConvNeXt that is the depthwise one."""
        own_norms(net)
        swap(net, is_spatial_conv, SeriesConv)
