"""Series residual adapters (Rebuffi et al. 2017, srebuffi/residual_adapters): 1 x 1 convolutions after 3 x 3."""

from dataclasses import dataclass, field
from typing import ClassVar

from torch import Tensor, nn

from benchmarks.methods.adapted import AdaptedMethod, is_spatial_conv, own_norms, swap
from benchmarks.methods.parallel_adapters import Start, adapter_conv, start_variant
from delta_core.training.identity import NEW_SINCE_RECORDED


class SeriesConv(nn.Module):
    """y + adapter(norm(y)) with y = conv(x), (B, C, H, W) -> (B, D, H', W')."""

    def __init__(self, conv: nn.Conv2d, start: Start = "drawn") -> None:
        super().__init__()
        self.conv = conv
        self.norm = nn.BatchNorm2d(conv.out_channels)
        self.adapter = adapter_conv(conv.out_channels, conv.out_channels, start)

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        y = self.conv(x)
        added: Tensor = y + self.adapter(self.norm(y))
        return added


@dataclass(frozen=True, kw_only=True)
class SeriesAdapters(AdaptedMethod):
    """Train a norm and a 1 x 1 convolution after all spatial convolutions, the task's own norms, and the head."""

    name: ClassVar[str] = "series_adapters"
    start: Start = field(default="drawn", metadata=NEW_SINCE_RECORDED)

    @property
    def variant(self) -> str:
        """Zero-started adapters are an arm of their own."""
        return start_variant(self.start)

    def adapt(self, net: nn.Module) -> None:
        """Put an adapter behind each spatial convolution; on ConvNeXt that is the depthwise one."""
        own_norms(net)
        swap(net, is_spatial_conv, lambda conv: SeriesConv(conv, self.start))
