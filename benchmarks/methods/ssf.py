"""SSF, scaling and shifting features (Lian et al. 2022, dongzelian/SSF): one scale and shift per channel and layer."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from timm.layers.norm import LayerNorm2d
from torch import Tensor, nn

from benchmarks.methods.adapted import AdaptedMethod, is_norm, swap


class Scaled(nn.Module):
    """scale * layer(x) + shift by channel; channels are the last dimension behind linear layers and LayerNorm."""

    def __init__(self, layer: nn.Conv2d | nn.Linear | nn.Module) -> None:
        super().__init__()
        self.layer = layer
        weight = layer.weight
        assert isinstance(weight, Tensor)
        self.channels_last = isinstance(layer, nn.Linear | nn.LayerNorm) and not isinstance(layer, LayerNorm2d)
        # As the authors draw them: near the identity.
        self.scale = nn.Parameter(1 + 0.02 * torch.randn(len(weight)))
        self.shift = nn.Parameter(0.02 * torch.randn(len(weight)))

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        y: Tensor = self.layer(x)
        if self.channels_last:
            return y * self.scale + self.shift
        return y * self.scale[:, None, None] + self.shift[:, None, None]


@dataclass(frozen=True, kw_only=True)
class ScaleShift(AdaptedMethod):
    """Train a scale and a shift behind every convolution, linear layer and norm, and the head."""

    name: ClassVar[str] = "ssf"

    def adapt(self, net: nn.Module) -> None:
        """Put a scale and a shift behind each layer."""
        swap(net, lambda module: isinstance(module, nn.Conv2d | nn.Linear) or is_norm(module), Scaled)
