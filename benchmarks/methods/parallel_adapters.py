"""Parallel residual adapters (Rebuffi et al. 2018, srebuffi/residual_adapters): 1 x 1 convolutions beside 3 x 3."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from torch import Tensor, nn

from benchmarks.methods.adapted import AdaptedMethod, is_spatial_conv, own_norms, swap
from delta_core.training.identity import NEW_SINCE_RECORDED

Start = Literal["drawn", "zero"]
"""How adapters begin: as their authors' code draws them, or as nothing, so that the net begins as the base."""


class ParallelConv(nn.Module):
    """conv(x) + adapter(x), (B, C, H, W) -> (B, D, H', W')."""

    def __init__(self, conv: nn.Conv2d, start: Start = "drawn") -> None:
        super().__init__()
        self.conv = conv
        self.adapter = adapter_conv(conv.in_channels, conv.out_channels, start)

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        down, across = self.conv.stride
        # A 1 x 1 convolution with this stride, cut apart: on CPU torch 2.14 corrupts memory in the backward pass of the
        # whole (stride 2, 3 channels to 8 or fewer, channels last).
        y: Tensor = self.conv(x) + self.adapter(x[:, :, ::down, ::across])
        return y


def adapter_conv(in_channels: int, out_channels: int, start: Start) -> nn.Conv2d:
    """A 1 x 1 convolution; the adapters' code draws it with variance 2 / out_channels."""
    conv = nn.Conv2d(in_channels, out_channels, 1, bias=False)
    nn.init.normal_(conv.weight, std=(2 / out_channels) ** 0.5 if start == "drawn" else 0.0)
    return conv


def start_variant(start: Start) -> str:
    """Arm of a method whose adapters start so."""
    return "" if start == "drawn" else "zero-start"


@dataclass(frozen=True, kw_only=True)
class ParallelAdapters(AdaptedMethod):
    """Train 1 x 1 convolutions beside all spatial convolutions, the task's own norms, and the head."""

    name: ClassVar[str] = "parallel_adapters"
    start: Start = field(default="drawn", metadata=NEW_SINCE_RECORDED)

    @property
    def variant(self) -> str:
        """Zero-started adapters are an arm of their own."""
        return start_variant(self.start)

    def adapt(self, net: nn.Module) -> None:
        """Put an adapter beside each spatial convolution; on ConvNeXt that is the depthwise one."""
        own_norms(net)
        swap(net, is_spatial_conv, lambda conv: ParallelConv(conv, self.start))
