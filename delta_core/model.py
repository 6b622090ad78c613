"""A frozen backbone with named patches, of which at most one is active at a time.

Shape legend: B batch, H W image size, C channels, N classes.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn, Self, cast

import torch
from torch import Tensor, nn

from delta_core import hub
from delta_core.calibration import Batches, calibrate
from delta_core.checkpointing import run_checkpointed
from delta_core.config import DeltaConfig
from delta_core.errors import DeltaError, FrozenError
from delta_core.families import Block, Stage, feature_size, pool, stages_of
from delta_core.families.base import submodule
from delta_core.features import FeatureInfo, feature_info, taps
from delta_core.freeze import assert_frozen, assert_same_structure, backbone_fingerprint, backbone_structure, freeze
from delta_core.many_patches import answers, answers_of_each
from delta_core.patch import Entered, Patch, check_patch_name, memory_format_of
from delta_core.patch_io import load_patch, save_patch
from delta_core.staged import Names
from delta_core.status import DeltaStatus, ParamCounts, PatchStatus
from delta_core.weights import Preprocessing


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
        >>> model.add_patch("birds", num_classes=20, config=DeltaConfig(n_modules=2))
        >>> model.calibrate([torch.randn(2, 3, 64, 64)])  # its BatchNorms start as the identity
        >>> {name: logits.shape[1] for name, logits in model.forward_patches(torch.zeros(2, 3, 64, 64)).items()}
        {'flowers': 17, 'birds': 20}
        >>> [len(logits) for logits in model.forward_each(torch.zeros(3, 3, 64, 64), ["birds", None, "flowers"])]
        [20, 1000, 17]
        >>> prefix, suffix = model.split_at_first_patch("birds")
        >>> prefix(torch.zeros(2, 3, 64, 64)).shape  # what enters layer3
        torch.Size([2, 128, 8, 8])
        >>> [level.shape[1] for level in model.forward_intermediates(torch.zeros(2, 3, 64, 64), indices=[3, 4])]
        [256, 512]
        >>> model.delete_patch("birds")
        >>> model.set_patch("flowers")
        >>> with model.scale_patch(0.5):
        ...     half = model(torch.zeros(2, 3, 64, 64))
        >>> model.assert_frozen()
    """

    def __init__(self, backbone: nn.Module, *, architecture: str = "", weights: str = "") -> None:
        super().__init__()
        cfg: dict[str, Any] = getattr(backbone, "pretrained_cfg", None) or {}
        self.architecture = architecture or cfg.get("architecture") or type(backbone).__name__
        self.weights = weights
        self.backbone = backbone
        self.stages: tuple[Stage, ...] = stages_of(backbone)
        self.blocks = tuple(stage for stage in self.stages if isinstance(stage, Block))
        self.patches = nn.ModuleDict()
        self.active_patch: str | None = None
        self.scale = 1.0
        self.gradient_checkpointing = False
        """Set it to train with less memory and a second forward pass of every gated block; same steps, same bits."""
        freeze(backbone)
        self.fingerprint = backbone_fingerprint(backbone)
        self._structure = backbone_structure(backbone)

    # --- patches -----------------------------------------------------------------------------------------------
    def add_patch(
        self,
        name: str,
        *,
        num_classes: int | None,
        config: DeltaConfig | None = None,
        class_names: Sequence[str] = (),
        preprocessing: Preprocessing | None = None,
    ) -> None:
        """Create a patch and make it active. `config=None` gives a head without modules (FC-only).

        `num_classes=None` gives modules without a head, for a detector or segmentor that reads
        `forward_intermediates`; such a patch cannot be saved to a folder yet. A config whose BatchNorm starts as the
        identity needs `calibrate` before use. Class names and preprocessing are kept with the patch and saved with it.

        Raises:
            DeltaError: if the name is taken or unusable, the number of names is not that of the classes, or the net
                has fewer blocks than modules asked for.
        """
        check_patch_name(name, taken=self.patches)
        parameter = next(self.backbone.parameters())
        patch = Patch(self.blocks, feature_size(self.backbone), num_classes, config, class_names, preprocessing)
        patch = patch.to(parameter.device, parameter.dtype).to(memory_format=memory_format_of(self.backbone))
        self.patches[name] = patch.train(self.training)
        self.active_patch = name

    def patch(self, name: str | None = None) -> Patch:
        """A patch by name, else the active one. Raises DeltaError if it is not there."""
        name = self.active_patch if name is None else name
        if name is None:
            raise DeltaError("No patch is active; call add_patch or set_patch first.")
        if name not in self.patches:
            raise DeltaError(f"Patch {name!r} is not there; loaded are {', '.join(self.patches) or 'none'}.")
        return cast(Patch, self.patches[name])

    def ready_patch(self, name: str | None = None) -> Patch:
        """A patch by name, else the active one, that can answer. Raises DeltaError if it waits for `calibrate`."""
        patch = self.patch(name)
        if patch.waits_for_calibration:
            raise DeltaError(
                f"Patch {(self.active_patch if name is None else name)!r} waits for its BatchNorms to start as the "
                "identity; call calibrate(batches) with training images first."
            )
        return patch

    def set_patch(self, name: str | None) -> None:
        """Activate a patch by name, or none (the base model)."""
        if name is not None:
            self.patch(name)
        self.active_patch = name

    def delete_patch(self, name: str) -> None:
        """Remove a patch; if it was the active one, no patch is active afterwards (the base model)."""
        self.patch(name)
        del self.patches[name]
        if self.active_patch == name:
            self.active_patch = None

    @contextmanager
    def disable_patches(self) -> Iterator[None]:
        """Run the untouched base model, base head included, inside the context; restores the active patch."""
        active, self.active_patch = self.active_patch, None
        try:
            yield
        finally:
            self.active_patch = active

    @contextmanager
    def scale_patch(self, alpha: float) -> Iterator[None]:
        """Weaken the patch inside the context: gates and BatchNorms are interpolated towards the base blocks.

        With 0 the features are those of the base (up to rounding), with 1 those of the patch, bit for bit. The head
        is the patch's own at any strength.

        Raises:
            DeltaError: if alpha is not a finite number.
        """
        if not math.isfinite(alpha):
            raise DeltaError(f"The strength of a patch is {alpha}; give a number, usually from 0 to 1.")
        scale, self.scale = self.scale, alpha
        try:
            yield
        finally:
            self.scale = scale

    def merge(self) -> NoReturn:
        """Not possible: gates depend on the input, so a patch cannot be folded into the backbone's weights."""
        raise DeltaError("A Delta patch depends on the input and cannot be merged into weights; keep the patch.")

    def calibrate(self, batches: Batches, *, from_prefix: bool = False) -> None:
        """Set the active patch's BatchNorms to the identity on base features (`norm_start="identity"`).

        Args:
            batches: normalised images (B, 3, H, W) of the new task's training split, one pass; on any device, alone or
                in front of labels, as a DataLoader gives them.
            from_prefix: the batches are outputs of `prefix` instead of images.

        Raises:
            DeltaError: if there is no batch, one holds no float tensor, or the base features are not finite. The patch
                is then as it was.
        """
        calibrate(self, batches, from_prefix=from_prefix)

    # --- files -------------------------------------------------------------------------------------------------
    def save_patch(self, folder: str | Path, name: str | None = None, **options: Any) -> Path:
        """Write a patch (by name, else the active one) to a folder; see `delta_core.patch_io.save_patch`."""
        return save_patch(self, folder, name, **options)

    def load_patch(self, folder: str | Path, name: str | None = None, **options: Any) -> str:
        """Add the patch of a folder and make it active; see `delta_core.patch_io.load_patch`."""
        return load_patch(self, folder, name, **options)

    @classmethod
    def from_pretrained(cls, path_or_repo: str | Path, **options: Any) -> Self:
        """Backbone and patch of a folder or a Hub repository; see `delta_core.hub.from_pretrained`."""
        return hub.from_pretrained(cls, path_or_repo, **options)

    def push_to_hub(self, repo_id: str, name: str | None = None, **options: Any) -> str:
        """Upload a patch (by name, else the active one); see `delta_core.hub.push_to_hub`."""
        return hub.push_to_hub(self, repo_id, name, **options)

    # --- forward -----------------------------------------------------------------------------------------------
    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) -> logits (B, N) of the active patch, or of the base model when none is active.

        Raises:
            DeltaError: if the patch waits for `calibrate`.
        """
        if self.active_patch is None:
            return cast(Tensor, self.backbone(x))
        return self.suffix(self.prefix(x))

    def prefix(self, x: Tensor, name: str | None = None) -> Tensor:
        """Everything before the first trainable part of a patch (by name, else the active one).

        It is frozen, off the gradient path, and the same in every epoch; nothing at all where gates read the image.
        (B, 3, H, W) -> what enters the first gated block, or pooled features (B, F) of a patch without modules.
        """
        first = self.first_gated(self.patch(name))
        for stage in self.stages[:first]:
            x = self.run_stage(stage, x, None)
        return pool(self.backbone, x) if first == len(self.stages) else x

    def suffix(self, x: Tensor, name: str | None = None, entered: Entered | None = None) -> Tensor:
        """From the output of `prefix` to logits (B, N); `suffix(prefix(x))` is `forward(x)`.

        Args:
            x: what `prefix` puts out.
            name: of a patch, else the active one.
            entered: what `delta_core.patch.enter` made of x, for patches that share it.

        Raises:
            DeltaError: if the patch waits for `calibrate`.
        """
        patch, entering = self.ready_patch(name), x
        gated = self.stages[self.first_gated(patch) :]
        for stage in gated:
            x, entered = self.run_stage(stage, x, patch, entering, entered), None
        return cast(Tensor, patch.head(pool(self.backbone, x) if gated else x))

    def split_at_first_patch(self, name: str | None = None) -> tuple["Prefix", "Suffix"]:
        """The model under a patch (by name, else the active one) as two modules that share its parameters.

        Cache what the first puts out and train the second: `suffix(prefix(x))` is `forward(x)` bit for bit. The pair
        keeps to its patch whatever is activated later.
        """
        self.patch(name)
        name = cast(str, self.active_patch) if name is None else name
        return Prefix(self, name), Suffix(self, name)

    def forward_patches(self, x: Tensor, names: Sequence[str] | None = None) -> dict[str, Tensor]:
        """Logits of several patches (default: all) in one pass: what no patch touches is computed once.

        (B, 3, H, W) -> name of the patch -> logits (B, N), equal to those of single forward passes bit for bit.

        Raises:
            DeltaError: if a patch is not there or waits for `calibrate`.
        """
        return answers(self, x, tuple(self.patches if names is None else names))

    def forward_each(self, x: Tensor, names: Names) -> list[Tensor]:
        """Logits of each image under a patch of its own, or none, in one pass: what no patch touches sees all at once.

        They are those of single forward passes up to rounding, for kernels are chosen by the size of a batch.

        Args:
            x: images (B, 3, H, W).
            names: B names of patches; None is the base with its own head.

        Returns:
            B logits (N,), with the N of the image's patch.

        Raises:
            DeltaError: if there are not B names, a patch is not there or waits for `calibrate`.
        """
        return answers_of_each(self, x, names)

    def forward_features(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) -> features (B, C, H', W') before pooling, of the active patch or of the base model.

        Raises:
            DeltaError: if the patch waits for `calibrate`.
        """
        patch, image = self.ready_patch() if self.active_patch is not None else None, x
        for stage in self.stages:
            x = self.run_stage(stage, x, patch, image)
        return x

    def forward_intermediates(self, x: Tensor, indices: Sequence[int] | None = None) -> list[Tensor]:
        """Features (B, C_i, H_i, W_i) of the levels of `feature_info`, of the active patch or of the base model.

        Args:
            x: images (B, 3, H, W).
            indices: positions in `feature_info`; all by default. Nothing behind the last one is computed.

        Raises:
            DeltaError: if an index is not a level, or the patch waits for `calibrate`.
        """
        patch = self.ready_patch() if self.active_patch is not None else None
        wanted = range(len(self.feature_info)) if indices is None else list(indices)
        if not set(wanted) <= set(range(len(self.feature_info))):
            raise DeltaError(f"Feature indices are {list(wanted)}; choose from 0 to {len(self.feature_info) - 1}.")
        ends = taps(self.feature_info, self.stages)
        found: dict[int, Tensor] = {}
        image = x
        for stage in self.stages:
            for step in (stage,) if isinstance(stage, Block) else stage.modules:
                x = (
                    self.run_stage(step, x, patch, image)
                    if isinstance(step, Block)
                    else submodule(self.backbone, step)(x)
                )
                level = ends.get(step.name if isinstance(step, Block) else step)
                if level is not None and level in wanted:
                    found[level] = x
            if len(found) == len(set(wanted)):
                break
        return [found[index] for index in wanted]

    @cached_property
    def feature_info(self) -> tuple[FeatureInfo, ...]:
        """Levels of `forward_intermediates`: module, channels and reduction, as timm states them."""
        return feature_info(self.backbone, self.stages)

    def run_stage(
        self, stage: Stage, x: Tensor, patch: Patch | None, image: Tensor | None = None, entered: Entered | None = None
    ) -> Tensor:
        """What leaves a stage under a patch, or as it is.

        Args:
            stage: one of `stages`.
            x: what enters it.
            patch: None = the stage as it is.
            image: (B, 3, H, W), what entered the net; needed where gates read that.
            entered: what `delta_core.patch.enter` made of x, for patches that share it.
        """
        if isinstance(stage, Block):
            part = patch.of(stage) if patch else None
            if part is not None:
                if self.gradient_checkpointing and torch.is_grad_enabled():
                    kept = image if part.reads_image else None  # what is passed on is kept for the backward pass
                    return run_checkpointed(part, self.backbone, x, self.scale, kept)
                return cast(Tensor, part(self.backbone, x, self.scale, image, entered))
        for name in stage.modules:
            x = submodule(self.backbone, name)(x)
        return x

    def first_gated(self, patch: Patch) -> int:
        """Number of the first stage that a patch changes; that of stages where it is a head alone."""
        if patch.reads_image:
            return 0
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
        assert_same_structure(self.backbone, self._structure)
        assert_frozen(self.backbone, self.fingerprint)

    def trainable_parameters(self, name: str | None = None) -> Iterator[nn.Parameter]:
        """Parameters of a patch (by name, else the active one)."""
        return self.patch(name).parameters()

    def count_parameters(self, name: str | None = None) -> ParamCounts:
        """Counts for a patch (by name, else the active one).

        `delta` holds modules and BatchNorms, `head` the new classifier.
        """
        patch = self.patch(name)
        delta = sum(p.numel() for p in patch.blocks.parameters())
        head = sum(p.numel() for p in patch.head.parameters())
        return ParamCounts(delta=delta, head=head, frozen=sum(p.numel() for p in self.backbone.parameters()))

    def status(self) -> DeltaStatus:
        """What the model carries and whether its backbone is untouched; hashes the backbone."""
        try:
            self.assert_frozen()
            broken = ""
        except FrozenError as error:
            broken = str(error)
        return DeltaStatus(
            architecture=self.architecture,
            weights=self.weights,
            active_patch=self.active_patch,
            scale=self.scale,
            patches=tuple(self._patch_status(name) for name in self.patches),
            frozen=not broken,
            broken_contract=broken,
        )

    def _patch_status(self, name: str) -> PatchStatus:
        patch = self.patch(name)
        takes_gradient = {parameter.requires_grad for parameter in patch.parameters()}
        return PatchStatus(
            name=name,
            num_classes=patch.num_classes,
            gated_blocks=tuple(block.name for block in self.blocks if patch.of(block) is not None),
            params=self.count_parameters(name),
            trainable=takes_gradient.pop() if len(takes_gradient) == 1 else None,
        )


class Prefix(nn.Module):
    """The frozen part of a model under one patch: images (B, 3, H, W) -> what enters the first gated block.

    A patch without modules gives pooled features (B, F). Made by `DeltaModel.split_at_first_patch`.
    """

    def __init__(self, model: DeltaModel, patch: str) -> None:
        super().__init__()
        self.model = model
        self.patch = patch

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        return self.model.prefix(x, self.patch)


class Suffix(nn.Module):
    """The trainable part of a model under one patch: output of `Prefix` -> logits (B, N)."""

    def __init__(self, model: DeltaModel, patch: str) -> None:
        super().__init__()
        self.model = model
        self.patch = patch

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        return self.model.suffix(x, self.patch)
