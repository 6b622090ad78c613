"""Gating policies: block input -> one weight per skip connection.

A block with k sub-blocks has nodes 0..k (node 0 = block input, node j = output of sub-block j) and k(k+1)/2 skip
connections i -> j with i < j (paper, Section 2). Skips are ordered by target j, then source i. Where nodes are summed,
the k skips (j-1) -> j exist in the net already and the others are new; where they are concatenated, all exist.

Shape legend: B batch, C channels of the block input, H W its size, S = k(k+1)/2 skips, G gates that a policy chooses.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from delta_core.config import DeltaConfig, ModuleInput
from delta_core.errors import DeltaError
from delta_core.families import Block, Wiring


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
    return torch.tensor(_exist(k, wiring))


def _exist(k: int, wiring: Wiring) -> list[bool]:
    """`existing_skips` as a list: patches are also built on the meta device, where tensors have no values."""
    new = wiring == "sum"
    return [not new or source == target - 1 for target in range(1, k + 1) for source in range(target)]


class DeltaModule(nn.Module):
    """Input-conditioned gates: two convolutions, pooling, one linear layer, sigmoid (paper, Section 2) or tanh.

    (B, C, H, W), or images (B, 3, H, W), -> (B, G). 6.75 C^2 parameters in 3 x 3 convolutions at `reduction=2`, which
    meets all parameter counts printed in Tables 2 and 10.

    Args:
        channels: C.
        existing: for each of the G gates, whether the net already has its skip.
        config: width, kernel, range, start and input size.
    """

    existing: Tensor | None
    """Mask (G,) of the gates that range around 1, the others around 0; None where all range from 0 to 1."""

    def __init__(self, channels: int, existing: Sequence[bool], config: DeltaConfig) -> None:
        super().__init__()
        self.net_has = tuple(existing)
        width = max(1, channels // config.reduction)
        self.module_input: ModuleInput = config.module_input
        stride = 2 if config.module_input == "stride2" else 1
        kernel, padding = config.module_kernel, config.module_kernel // 2
        read = 3 if config.module_reads == "image" else channels
        self.conv1 = nn.Conv2d(read, width, kernel, stride=stride, padding=padding, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, kernel, padding=padding, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.fc = nn.Linear(width, len(existing))
        mask = torch.tensor(self.net_has)
        around = config.gate_range == "around_base"
        self.register_buffer("existing", mask if around else None)
        if config.gate_start == "identity":
            nn.init.zeros_(self.fc.weight)
            logits = torch.zeros(len(mask)) if around else (mask.to(self.fc.bias) * 2 - 1) * config.gate_start_logit
            with torch.no_grad():
                self.fc.bias.copy_(logits)

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        if self.module_input == "pool7" and max(x.shape[-2:]) > 7:
            x = F.adaptive_avg_pool2d(x, (min(7, x.shape[-2]), min(7, x.shape[-1])))
        x = F.relu(self.norm1(self.conv1(x)))
        x = F.relu(self.norm2(self.conv2(x)))
        logits = self.fc(x.mean(dim=(2, 3)))
        return torch.sigmoid(logits) if self.existing is None else self.existing + torch.tanh(logits)


class LearnableGates(nn.Module):
    """One free scalar per gate, the same for every input (Table 8): (B, C, H, W) -> (1, G)."""

    def __init__(self, existing: Tensor, config: DeltaConfig) -> None:
        super().__init__()
        self.gates = nn.Parameter(
            existing.float() if config.gate_start == "identity" else torch.full(existing.shape, 0.5)
        )

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


class NewSkipsOnly(nn.Module):
    """Gates of the new skips, (B or 1, G), among the net's own, which stay at 1: -> (B or 1, S)."""

    def __init__(self, new: nn.Module, is_new: Sequence[bool]) -> None:
        super().__init__()
        self.new = new
        # The net's own skips all read the column of ones behind the gates.
        self.place = [sum(is_new[:skip]) if gated else sum(is_new) for skip, gated in enumerate(is_new)]

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        gates: Tensor = self.new(x)
        return torch.cat([gates, torch.ones_like(gates[:, :1])], dim=1)[:, self.place]


class GatesPerChannel(nn.Module):
    """(B or 1, S * C) -> (B or 1, S, C)."""

    def __init__(self, flat: nn.Module, channels: int) -> None:
        super().__init__()
        self.flat = flat
        self.channels = channels

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        gates: Tensor = self.flat(x).unflatten(1, (-1, self.channels))
        return gates


def build_gates(block: Block, config: DeltaConfig) -> nn.Module:
    """Gating policy of one block: what enters it -> gates (B or 1, S), or (B or 1, S, C_out) for one per channel.

    Raises:
        DeltaError: if the block cannot be gated in this way.
    """
    k = len(block.sub_blocks)
    exist = _exist(k, block.wiring)
    is_new = [not exists for exists in exist]
    if config.skips == "new" and not any(is_new):
        raise DeltaError(f"skips is 'new' but {block.name} has no room for new skips; choose 'all'.")
    per_channel = config.gate_per == "channel"
    if per_channel and block.wiring == "concat":
        raise DeltaError(
            f"gate_per is 'channel' but {block.name} concatenates nodes of different widths; choose 'skip'."
        )
    width = block.out_channels if per_channel else 1
    gated = [exists for exists in exist if config.skips == "all" or not exists]
    existing = [exists for exists in gated for _ in range(width)]
    starts = torch.tensor(existing)
    gates: nn.Module
    match config.gating:
        case "delta":
            gates = DeltaModule(block.in_channels, existing, config)
        case "learnable":
            gates = LearnableGates(starts, config)
        case "existing-only":
            gates = ExistingGates(k, block.wiring)
        case "ones":
            gates = FixedGates(torch.ones(len(starts)))
        case "random":
            gates = FixedGates(torch.rand(len(starts)))
    gates = GatesPerChannel(gates, width) if per_channel else gates
    return NewSkipsOnly(gates, is_new) if config.skips == "new" else gates
