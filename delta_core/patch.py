"""One patch: gates and a BatchNorm for each of the last n blocks, and a new head.

Shape legend: B batch, C channels, H W size, S = k(k+1)/2 skips of a block with k sub-blocks.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast

import torch
from torch import Tensor, nn

from delta_core.config import DeltaConfig
from delta_core.errors import DeltaError
from delta_core.families import SUB_BLOCKS, Block
from delta_core.families.base import submodule
from delta_core.frozen_norm import FrozenNorms
from delta_core.gates import build_gates, existing_skips
from delta_core.plain_sum import weigh
from delta_core.recorded import is_recorded
from delta_core.skip_maps import add_map, build_maps
from delta_core.skip_sum import SkipSums, best_one_by_one
from delta_core.weights import Preprocessing


def check_patch_name(name: str, taken: Iterable[str] = ()) -> None:
    """Refuse a name that is taken or unusable.

    A name becomes a key of nn.ModuleDict, which must hold no dots and must not be one of its own attributes, and may
    be used as the name of a file.

    Raises:
        DeltaError: naming it.
    """
    if name in tuple(taken):
        raise DeltaError(f"Patch name {name!r} is taken; choose another, or delete that patch first.")
    if not re.fullmatch(r"\w[\w -]{0,99}", name) or hasattr(nn.ModuleDict(), name):
        raise DeltaError(
            f"Patch name {name[:100]!r} is empty, reserved, too long or holds more than letters, digits, '-', '_' and "
            "spaces; choose another."
        )


Entered = tuple[Tensor, Tensor]
"""What the first sub-block makes of the block's input before any gate, so the same under every patch: the input through
its own shortcut, and what is added to that, each (B, C, H, W)."""


def enter(block: Block, backbone: nn.Module, x: Tensor) -> Entered | None:
    """Run what the patches of a block share, on x (B, C_in, H, W), what enters it.

    None where nodes are concatenated: there gates weigh what the first sub-block reads.
    """
    if block.wiring == "concat":
        return None
    with _backbone_context():
        return _entered(submodule(backbone, block.sub_blocks[0]), x)


def _entered(unit: nn.Module, x: Tensor) -> Entered:
    adapter = SUB_BLOCKS[type(unit)]
    return adapter.shortcut(unit, x), adapter.residual(unit, x)


class BlockPatch(nn.Module):
    """Gates and maps of one block and the BatchNorm that tames the variance of the added skips (paper, Section 2)."""

    def __init__(self, block: Block, config: DeltaConfig) -> None:
        super().__init__()
        if config.norm_place == "skip_sum" and block.wiring == "concat":
            raise DeltaError(
                f"norm_place is 'skip_sum' but {block.name} concatenates its skips and has no sum; "
                "choose 'output' or 'none'."
            )
        self.block = block
        self.norm_place = config.norm_place
        self.reads_image = config.module_reads == "image"
        self.gates = build_gates(block, config)
        self.maps = build_maps(block, config)
        self.map_per = config.skip_map_per
        self.norm = nn.Identity() if config.norm_place == "none" else nn.BatchNorm2d(block.out_channels)

    def forward(
        self,
        backbone: nn.Module,
        x: Tensor,
        scale: float = 1.0,
        image: Tensor | None = None,
        entered: Entered | None = None,
    ) -> Tensor:
        """Run the block of `backbone` with gated skips.

        Args:
            backbone: the frozen net that owns the block's modules.
            x: (B, C_in, H, W), what enters the block.
            scale: strength of the patch; 0 gives the base block (existing skips 1, new ones 0, no map, no BatchNorm).
            image: (B, 3, H, W), what entered the net; needed where the gates read that.
            entered: what `enter` made of x, where other patches use it too; it is left as it is.

        Returns:
            (B, C_out, H', W'), what leaves it.
        """
        gates = self.gates(image if self.reads_image else x)  # (B or 1, S) or (B or 1, S, C_out)
        if scale != 1:
            existing = existing_skips(len(self.block.sub_blocks), self.block.wiring).to(gates)
            gates = torch.lerp(existing[:, None] if gates.ndim == 3 else existing, gates, scale)
        units = [submodule(backbone, name) for name in self.block.sub_blocks]
        with _backbone_context():
            if self.block.wiring == "sum":
                x = self._summed(units, gates, x, scale, entered)
            else:
                x = self._concatenated(units, gates, x, scale)
        return self._normalise(x, scale) if self.norm_place == "output" else x

    def _summed(self, units: list[nn.Module], gates: Tensor, x: Tensor, scale: float, shared: Entered | None) -> Tensor:
        """node_j = act_j(residual_j(node_{j-1}) + sum_i S_ij g_ij node_i); the output is the last node.

        Node 0 is the block input seen through the block's own frozen shortcut, so that all shapes agree. The skip
        (j-1) -> j is the net's own, so it passes through whatever the unit does to it.
        """
        sums = SkipSums(gates, len(units))
        carried: list[Tensor] = []
        for target, unit in enumerate(units, start=1):
            is_shared = shared is not None and target == 1
            own, residual = cast(Entered, shared) if is_shared else _entered(unit, x)
            node = own if target == 1 else x
            carried.append(node)
            normed = self.norm_place == "skip_sum" and target == len(units)
            if self.maps and self.map_per == "node" and own is node and not normed and best_one_by_one(residual):
                sums.put(node)
                out = torch.empty_like(residual) if is_shared else residual
                x = _one_by_one(unit, residual, sums, self.maps[target - 1], scale, out)
                continue
            if self.maps or normed:
                skipped = sums(node, own)
                total = skipped.clone() if normed else _sum(residual, skipped, in_place=not is_shared)
                again = sums.again() if own is node else None
                self._add_maps(total, skipped, [*carried[:-1], own], gates, target, scale, again)
                total = residual + self._normalise(total, scale) if normed else total
            else:
                total = sums(node, own, residual)
            x = SUB_BLOCKS[type(unit)].activation(unit, total)
        return x

    def _concatenated(self, units: list[nn.Module], gates: Tensor, x: Tensor, scale: float) -> Tensor:
        """node_j = residual_j of all S_ij g_ij node_i side by side; the output is all nodes so, without gates."""
        weights = gates[..., None, None, None]
        nodes = [x]
        first = 0
        for target, unit in enumerate(units, start=1):
            gated = [weights[:, first + source] * node for source, node in enumerate(nodes)]
            if self.maps and self.map_per == "skip":
                gated = [_plus(node, self.maps[first + source](node), scale) for source, node in enumerate(gated)]
            read = torch.cat(gated, dim=1)
            if self.maps and self.map_per == "node":
                read = _plus(read, self.maps[target - 1](read), scale)
            nodes.append(SUB_BLOCKS[type(unit)].residual(unit, read))
            first += target
        return torch.cat(nodes, dim=1)

    def _add_maps(
        self,
        total: Tensor,
        skipped: Tensor,
        carried: list[Tensor],
        gates: Tensor,
        target: int,
        scale: float,
        again: Callable[[], Tensor] | None,
    ) -> None:
        """Add to `total` (B, C, H, W) the map of `skipped`, which the skips into node `target` carry, or of each."""
        if not self.maps:
            return
        if self.map_per == "node":
            add_map(total, self.maps[target - 1], skipped, scale, again)
            return
        first = target * (target - 1) // 2
        for source, node in enumerate(carried):
            add_map(total, self.maps[first + source], weigh(gates[:, first + source], node), scale)

    def _normalise(self, x: Tensor, scale: float) -> Tensor:
        normalised = cast(Tensor, self.norm(x))
        return normalised if scale == 1 else torch.lerp(x, normalised, scale)

    @torch.no_grad()
    def set_norm_to_identity(self, mean: Tensor, variance: Tensor) -> None:
        """Give the BatchNorm statistics (C_out,) of base features and the affine that undoes them.

        In eval mode the layer is then the identity, in train mode nearly so.
        """
        norm = self.norm
        if not isinstance(norm, nn.Identity):
            norm.running_mean.copy_(mean)  # type: ignore[union-attr]
            norm.running_var.copy_(variance)  # type: ignore[union-attr]
            norm.weight.copy_((variance + norm.eps).sqrt())
            norm.bias.copy_(mean)


def _one_by_one(
    unit: nn.Module, residual: Tensor, sums: SkipSums, skip_map: nn.Module, scale: float, out: Tensor
) -> Tensor:
    """What leaves a sub-block, written into `out` sample by sample; `sums` has been given all nodes in front of it."""
    for i in range(len(out)):
        sample = slice(i, i + 1)
        skipped = sums.of(sample)
        total = torch.add(residual[sample], skipped, out=out[sample])
        add_map(total, skip_map, skipped, scale)
        active = SUB_BLOCKS[type(unit)].activation(unit, total)
        if active is not total:
            out[sample] = active
    return out


def _sum(residual: Tensor, skipped: Tensor, *, in_place: bool) -> Tensor:
    """Their sum, in the residual's memory if that may be and no gradient needs the residual as it was."""
    return residual.add_(skipped) if in_place and not torch.is_grad_enabled() else residual + skipped


def _plus(x: Tensor, mapped: Tensor, scale: float) -> Tensor:
    """Sum of x and scale * mapped in one pass over memory."""
    return torch.add(x, mapped, alpha=scale)


def _backbone_context() -> AbstractContextManager[object]:
    """How a frozen block runs where a gradient passes through it; a compiler sees the block as it is."""
    passes = torch.is_grad_enabled() and not is_recorded()
    return FrozenNorms() if passes else nullcontext()


def memory_format_of(backbone: nn.Module) -> torch.memory_format:
    """Layout of a net's convolutions; a patch takes it over, or its weights would be turned round at every step."""
    kernels = (parameter for parameter in backbone.parameters() if parameter.ndim == 4 and parameter.shape[2] > 1)
    kernel = next((kernel for kernel in kernels if kernel.shape[1] > 1), None)  # depthwise kernels are both at once
    turned = kernel is not None and not kernel.is_contiguous()
    return torch.channels_last if turned else torch.contiguous_format


class Patch(nn.Module):
    """Trainable parts of one task: `blocks` (name of the block -> BlockPatch) and `head`.

    Without config the patch is the head alone (the FC-only baseline); without `num_classes` it has none, and serves
    features. `class_names` is empty when they are not known; `preprocessing` is how images of this task become inputs,
    None when it is that of the backbone's weights.

    Raises:
        DeltaError: if there is no class, neither head nor modules, the number of names is not that of the classes, or
            there are fewer blocks than modules asked for.
    """

    def __init__(
        self,
        blocks: tuple[Block, ...],
        features: int,
        num_classes: int | None,
        config: DeltaConfig | None,
        class_names: Sequence[str] = (),
        preprocessing: Preprocessing | None = None,
    ) -> None:
        super().__init__()
        if num_classes is not None and num_classes < 1:
            raise DeltaError(f"num_classes is {num_classes}; a patch needs at least one class.")
        if num_classes is None and config is None:
            raise DeltaError("num_classes and config are None, so there is nothing to train; give one of them.")
        if isinstance(class_names, str):
            raise DeltaError(f"class_names is the text {class_names!r}; give a list with one name a class.")
        class_names = tuple(class_names)
        if class_names and len(class_names) != num_classes:
            raise DeltaError(f"{len(class_names)} class names were given for {num_classes} classes; give one a class.")
        ends = len(blocks) - (config.blocks_after if config else 0)
        if config and config.n_modules > ends:
            behind = f" in front of the last {config.blocks_after}" if config.blocks_after else ""
            raise DeltaError(
                f"n_modules is {config.n_modules} but the net has {max(0, ends)} blocks{behind} that can be gated; "
                f"{f'choose 1 to {ends}' if ends > 0 else 'patch its head alone'}."
            )
        self.config = config
        self.class_names = class_names
        self.preprocessing = preprocessing
        gated = blocks[ends - config.n_modules : ends] if config else ()
        # Module names must not hold dots.
        self.blocks = nn.ModuleDict({block.name.replace(".", "_"): BlockPatch(block, config) for block in gated})  # type: ignore[arg-type]
        self.head = nn.Identity() if num_classes is None else nn.Linear(features, num_classes)
        self.waits_for_calibration = (
            config is not None and config.norm_start == "identity" and config.norm_place != "none"
        )
        """Whether the BatchNorms are still as they were made, and no identity yet: see `DeltaModel.calibrate`."""

    @property
    def reads_image(self) -> bool:
        """Whether its gates read the image, so that no part of the net in front of them can be left out."""
        return self.config is not None and self.config.module_reads == "image"

    @property
    def num_classes(self) -> int:
        """N, the number of classes of the task; 0 without head."""
        return self.head.out_features if isinstance(self.head, nn.Linear) else 0

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        # A patch that was kept was calibrated. No hook would do: mmengine has a load_state_dict of its own.
        if any(name.startswith(f"{prefix}blocks.") for name in state_dict):
            self.waits_for_calibration = False
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def of(self, block: Block) -> BlockPatch | None:
        """This patch's part for a block, or None where the block stays as it is."""
        key = block.name.replace(".", "_")
        return cast(BlockPatch, self.blocks[key]) if key in self.blocks else None
