"""Gating policies: block input -> one weight per skip connection.

A block with k sub-blocks has nodes 0..k (node 0 = block input, node j = output of sub-block j) and k(k+1)/2 skip
connections i -> j with i < j (paper, Section 2). Skips are ordered by target j, then source i. Where nodes are summed,
the k skips (j-1) -> j exist in the net already and the others are new; where they are concatenated, all exist.

Shape legend: B batch, C channels of the block input, H W its size, S = k(k+1)/2 skips.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from delta_core.config import DeltaConfig, ModuleInput
from delta_core.families import Wiring


def n_skips(k: int) -> int:
    """Number of skip connections of a block with `k` sub-blocks.

    >>> n_skips(3)
    6
    """
    return k * (k + 1) // 2


def existing_skips(k: int, wiring: Wiring = "sum") -> Tensor:
    """Mask (S,) of the skips the net already has.

    >>> existing_skips(2).tolist()
    [True, False, True]
    >>> existing_skips(2, "concat").tolist()
    [True, True, True]
    """
    new = wiring == "sum"
    return torch.tensor([not new or source == target - 1 for target in range(1, k + 1) for source in range(target)])


class DeltaModule(nn.Module):
    """Input-conditioned gates: two 3x3 convolutions, pooling, one linear layer, sigmoid (paper, Section 2).

    (B, C, H, W) -> (B, S). 6.75 C^2 parameters in the convolutions at `reduction=2`, which meets all parameter counts
    printed in Tables 2 and 10.
    """

    def __init__(self, channels: int, k: int, config: DeltaConfig, wiring: Wiring = "sum") -> None:
        super().__init__()
        width = max(1, channels // config.reduction)
        self.module_input: ModuleInput = config.module_input
        stride = 2 if config.module_input == "stride2" else 1
        self.conv1 = nn.Conv2d(channels, width, 3, stride=stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.fc = nn.Linear(width, n_skips(k))
        if config.gate_start == "identity":
            nn.init.zeros_(self.fc.weight)
            with torch.no_grad():
                sign = existing_skips(k, wiring).to(self.fc.bias) * 2 - 1
                self.fc.bias.copy_(sign * config.gate_start_logit)

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        if self.module_input == "pool7" and max(x.shape[-2:]) > 7:
            x = F.adaptive_avg_pool2d(x, (min(7, x.shape[-2]), min(7, x.shape[-1])))
        x = F.relu(self.norm1(self.conv1(x)))
        x = F.relu(self.norm2(self.conv2(x)))
        return torch.sigmoid(self.fc(x.mean(dim=(2, 3))))


class LearnableGates(nn.Module):
    """One free scalar per skip, the same for every input (Table 8): (B, C, H, W) -> (1, S)."""

    def __init__(self, k: int, config: DeltaConfig, wiring: Wiring = "sum") -> None:
        super().__init__()
        existing = existing_skips(k, wiring).float()
        self.gates = nn.Parameter(existing if config.gate_start == "identity" else torch.full_like(existing, 0.5))

    def forward(self, _: Tensor) -> Tensor:  # noqa: D102
        return self.gates[None]


class ExistingGates(nn.Module):
    """One free scalar per skip the net already has, starting at 1; new skips stay off (Table 8)."""

    existing: Tensor

    def __init__(self, k: int, wiring: Wiring = "sum") -> None:
        super().__init__()
        self.register_buffer("existing", existing_skips(k, wiring))
        self.gates = nn.Parameter(torch.ones(k if wiring == "sum" else n_skips(k)))

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        return torch.zeros(len(self.existing), device=x.device, dtype=x.dtype).masked_scatter(
            self.existing, self.gates.to(x.dtype)
        )[None]


class FixedGates(nn.Module):
    """Gates that never learn: all ones, or one draw from U(0, 1) kept with the patch (Table 8, `+ Random`)."""

    gates: Tensor

    def __init__(self, gates: Tensor) -> None:
        super().__init__()
        self.register_buffer("gates", gates)

    def forward(self, _: Tensor) -> Tensor:  # noqa: D102
        return self.gates[None]


def build_gates(channels: int, k: int, config: DeltaConfig, wiring: Wiring = "sum") -> nn.Module:
    """Gating policy of one block with `k` sub-blocks and `channels` input channels."""
    match config.gating:
        case "delta":
            return DeltaModule(channels, k, config, wiring)
        case "learnable":
            return LearnableGates(k, config, wiring)
        case "existing-only":
            return ExistingGates(k, wiring)
        case "ones":
            return FixedGates(torch.ones(n_skips(k)))
        case "random":
            return FixedGates(torch.rand(n_skips(k)))
