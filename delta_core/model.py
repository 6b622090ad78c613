"""A frozen backbone with named patches, of which at most one is active at a time.

Shape legend: B batch, H W image size, C channels, N classes.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from delta_core.config import DeltaConfig
from delta_core.errors import DeltaError
from delta_core.families import Block, Stage, feature_size, pool, stages_of
from delta_core.freeze import assert_frozen, backbone_fingerprint, freeze
from delta_core.patch import Patch


@dataclass(frozen=True, kw_only=True)
class ParamCounts:
    """Numbers of parameters; the head is counted apart because the paper's counts leave it out (ERRATA 12)."""

    delta: int
    head: int
    frozen: int

    @property
    def total(self) -> int:
        """All parameters that a forward pass uses."""
        return self.delta + self.head + self.frozen


class DeltaModel(nn.Module):
    """Patches for many tasks on one untouched backbone (paper, Section 2).

    With no active patch the original modules run as they are, so base logits are bit-identical. The backbone stays
    frozen under any `.train()` call; `fingerprint` is taken at construction and `assert_frozen()` compares with it.

    Raises:
        DeltaError: if the backbone's family is not supported.

    Example:
        >>> import timm
        >>> model = DeltaModel(timm.create_model("resnet10t"))
        >>> model.add_patch("flowers", num_classes=17, config=DeltaConfig.paper(n_modules=1))
        >>> model(torch.zeros(2, 3, 64, 64)).shape
        torch.Size([2, 17])
        >>> with model.disable_patches():
        ...     model(torch.zeros(2, 3, 64, 64)).shape
        torch.Size([2, 1000])
    """

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.stages: tuple[Stage, ...] = stages_of(backbone)
        self.blocks = tuple(stage for stage in self.stages if isinstance(stage, Block))
        self.patches = nn.ModuleDict()
        self.active_patch: str | None = None
        freeze(backbone)
        self.fingerprint = backbone_fingerprint(backbone)

    # --- patches -----------------------------------------------------------------------------------------------
    def add_patch(self, name: str, *, num_classes: int, config: DeltaConfig | None = None) -> None:
        """Create a patch and make it active. `config=None` gives a head without modules (FC-only).

        A config whose BatchNorm starts as the identity needs `calibrate` before use.

        Raises:
            DeltaError: if the name is taken or unusable, or the net has fewer blocks than modules asked for.
        """
        if not name or "." in name or name in self.patches:
            raise DeltaError(f"Patch name {name!r} is empty, taken or holds a dot; choose another.")
        if num_classes < 1:
            raise DeltaError(f"num_classes is {num_classes}; a patch needs at least one class.")
        if config and config.n_modules > len(self.blocks):
            raise DeltaError(
                f"n_modules is {config.n_modules} but {type(self.backbone).__name__} has {len(self.blocks)} blocks "
                f"that can be gated; choose 1 to {len(self.blocks)}."
            )
        parameter = next(self.backbone.parameters())
        patch = Patch(self.blocks, feature_size(self.backbone), num_classes, config)
        self.patches[name] = patch.to(parameter.device, parameter.dtype)
        self.active_patch = name

    def set_patch(self, name: str | None) -> None:
        """Activate a patch by name, or none (the base model)."""
        if name is not None and name not in self.patches:
            raise DeltaError(f"Patch {name!r} is not there; loaded are {', '.join(self.patches) or 'none'}.")
        self.active_patch = name

    @contextmanager
    def disable_patches(self) -> Iterator[None]:
        """Run the untouched base model, base head included, inside the context; restores the active patch."""
        active, self.active_patch = self.active_patch, None
        try:
            yield
        finally:
            self.active_patch = active

    @torch.no_grad()
    def calibrate(self, batches: Iterable[Tensor], *, from_prefix: bool = False) -> None:
        """Set the active patch's BatchNorms to the identity on base features (`norm_start="identity"`).

        Args:
            batches: images (B, 3, H, W) of the new task's training split; one pass.
            from_prefix: the batches are outputs of `prefix` instead of images.
        """
        patch = self._patch()
        moments: dict[str, list[Tensor]] = {}
        for x in batches:
            for stage in self.stages[self._first_gated() if from_prefix else 0 :]:
                x = self._run(stage, x, None)
                if isinstance(stage, Block) and patch.of(stage) is not None:
                    batch = x.double()
                    count = torch.tensor(float(x.numel() // x.shape[1]), dtype=torch.double, device=x.device)
                    sums = [count, batch.sum((0, 2, 3)), batch.square().sum((0, 2, 3))]
                    held = moments.setdefault(stage.name, [torch.zeros_like(part) for part in sums])
                    moments[stage.name] = [old + new for old, new in zip(held, sums, strict=True)]
        for block in self.blocks:
            part = patch.of(block)
            if part is not None and block.name in moments:
                count, total, squares = moments[block.name]
                mean = total / count
                part.set_norm_to_identity(mean, (squares / count - mean.square()).clamp_min(0))

    # --- forward -----------------------------------------------------------------------------------------------
    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) -> logits (B, N) of the active patch, or of the base model when none is active."""
        if self.active_patch is None:
            return cast(Tensor, self.backbone(x))
        return self.suffix(self.prefix(x))

    def prefix(self, x: Tensor) -> Tensor:
        """Everything before the first trainable part: frozen, off the gradient path, the same every epoch.

        (B, 3, H, W) -> what enters the first gated block, or pooled features (B, F) of a patch without modules.
        """
        for stage in self.stages[: self._first_gated()]:
            x = self._run(stage, x, None)
        return pool(self.backbone, x) if self._first_gated() == len(self.stages) else x

    def suffix(self, x: Tensor) -> Tensor:
        """From the output of `prefix` to logits (B, N); `suffix(prefix(x))` is `forward(x)`."""
        patch = self._patch()
        gated = self.stages[self._first_gated() :]
        for stage in gated:
            x = self._run(stage, x, patch)
        return cast(Tensor, patch.head(pool(self.backbone, x) if gated else x))

    def _run(self, stage: Stage, x: Tensor, patch: Patch | None) -> Tensor:
        if isinstance(stage, Block):
            part = patch.of(stage) if patch else None
            if part is not None:
                return cast(Tensor, part(self.backbone, x))
        for name in stage.sub_blocks if isinstance(stage, Block) else stage.modules:
            x = self.backbone.get_submodule(name)(x)
        return x

    def _patch(self) -> Patch:
        if self.active_patch is None:
            raise DeltaError("No patch is active; call add_patch or set_patch first.")
        return cast(Patch, self.patches[self.active_patch])

    def _first_gated(self) -> int:
        patch = self._patch()
        gated = (i for i, stage in enumerate(self.stages) if isinstance(stage, Block) and patch.of(stage) is not None)
        return next(gated, len(self.stages))

    # --- contract ----------------------------------------------------------------------------------------------
    def train(self, mode: bool = True) -> "DeltaModel":
        """Train mode for patches only; the backbone stays in eval mode whatever is asked."""
        super().train(mode)
        self.backbone.eval()
        return self

    def assert_frozen(self) -> None:
        """Check that the backbone is as it was at construction. Raises FrozenError naming what changed."""
        assert_frozen(self.backbone, self.fingerprint)

    def trainable_parameters(self) -> Iterator[nn.Parameter]:
        """Parameters of the active patch."""
        return self._patch().parameters()

    def count_parameters(self) -> ParamCounts:
        """Counts for the active patch; `delta` holds modules and BatchNorms, `head` the new classifier."""
        patch = self._patch()
        delta = sum(p.numel() for p in patch.blocks.parameters())
        head = sum(p.numel() for p in patch.head.parameters())
        return ParamCounts(delta=delta, head=head, frozen=sum(p.numel() for p in self.backbone.parameters()))
