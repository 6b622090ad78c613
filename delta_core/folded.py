"""A second model whose frozen BatchNorms are folded into the convolutions in front of them: fewer passes over memory.

Answers and gradients are those of the model up to rounding, so nothing folds unasked, and the proof that the base is
untouched stays with the net as it was pre-trained.
"""

import copy
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self, cast

import torch
from timm.layers.conv2d_same import Conv2dSame
from timm.layers.norm_act import BatchNormAct2d
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from delta_core import hub
from delta_core.errors import DeltaError
from delta_core.families.base import submodule
from delta_core.model import DeltaModel
from delta_core.patch_io import load_patch, save_patch

FOLDABLE = (nn.Conv2d, Conv2dSame)
"""Classes that convolve with their weight as it is; others, such as weight-standardised ones, make another of it."""


def fold_norms(model: DeltaModel) -> "FoldedModel":
    """A model with the same patches on a copy of the backbone in which BatchNorms are part of convolutions.

    Train or serve with it what the model itself then has, too: patches are shared, not copied. It answers as the model
    does up to rounding, with every patch and without; `disable_patches` is therefore not bit for bit the base.

    Nets without such BatchNorms, a ConvNeXt for one, are copied as they are. Moving the folded model to another device
    or type moves both.

    Raises:
        DeltaError: if the folded net answers otherwise, because it uses a convolution in a way that is not known here.

    Example:
        >>> import timm
        >>> model = DeltaModel(timm.create_model("resnet10t"))
        >>> model.add_patch("flowers", num_classes=17)
        >>> folded = fold_norms(model.eval())
        >>> x = torch.randn(2, 3, 64, 64)
        >>> torch.allclose(folded(x), model(x), atol=1e-5)
        True
        >>> sum(isinstance(module, torch.nn.BatchNorm2d) for module in folded.backbone.modules())
        0
    """
    return FoldedModel(model)


class FoldedModel(DeltaModel):
    """Made by `fold_norms`. What is saved from it, or loaded into it, is saved from and loaded into that model."""

    def __init__(self, model: DeltaModel) -> None:
        super().__init__(_folded(model.backbone), architecture=model.architecture, weights=model.weights)
        self._unfolded = (model,)  # in a tuple, that it be no module of this one
        self.patches = model.patches
        self.active_patch = model.active_patch
        self.scale = model.scale
        self.gradient_checkpointing = model.gradient_checkpointing
        self.train(model.training)

    @property
    def unfolded(self) -> DeltaModel:
        """The model that was folded."""
        return self._unfolded[0]

    def assert_frozen(self) -> None:
        """Check both backbones, see `DeltaModel`."""
        self.unfolded.assert_frozen()
        super().assert_frozen()

    def save_patch(self, folder: str | Path, name: str | None = None, **options: Any) -> Path:
        """Write a patch (by name, else the active one) as one of the net that was pre-trained."""
        return save_patch(self.unfolded, folder, self.active_patch if name is None else name, **options)

    def load_patch(self, folder: str | Path, name: str | None = None, **options: Any) -> str:
        """Add a patch that was trained on the net as it was pre-trained, and make it active here and there."""
        self.active_patch = load_patch(self.unfolded, folder, name, **options)
        return self.active_patch

    def push_to_hub(self, repo_id: str, name: str | None = None, **options: Any) -> str:
        """Upload a patch (by name, else the active one) as one of the net that was pre-trained."""
        return hub.push_to_hub(self.unfolded, repo_id, self.active_patch if name is None else name, **options)

    @classmethod
    def from_pretrained(cls, path_or_repo: str | Path, **options: Any) -> Self:
        """Backbone and patch of a folder or a Hub repository, folded; see `delta_core.hub.from_pretrained`."""
        return cls(DeltaModel.from_pretrained(path_or_repo, **options))

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> Self:
        # Patches move with this model, so the other backbone must, too.
        self.unfolded.backbone._apply(fn, recurse)
        return super()._apply(fn, recurse)  # type: ignore[no-untyped-call,no-any-return]


@torch.no_grad()
def _folded(backbone: nn.Module) -> nn.Module:
    parameter = next(backbone.parameters())
    noise = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0), device="cpu").to(parameter)
    folded = copy.deepcopy(backbone)
    for conv_name, norm_name in _pairs(folded, noise):
        conv = cast(nn.Conv2d, submodule(folded, conv_name))
        norm = cast(nn.BatchNorm2d, submodule(folded, norm_name))
        folded.set_submodule(conv_name, fuse_conv_bn_eval(conv, norm))
        folded.set_submodule(norm_name, _Folded(norm))
    expected, found = backbone(noise), folded(noise)
    bound = torch.finfo(noise.dtype).eps ** 0.5
    if not torch.allclose(found, expected, rtol=bound, atol=bound * float(expected.abs().max()), equal_nan=True):
        differ = float((found - expected).abs().max())
        raise DeltaError(
            f"{type(backbone).__name__} cannot be folded: its answers then differ by {differ:.2g}; use it as it is."
        )
    return folded


class _Folded(nn.Sequential):
    """What is left of a BatchNorm: the activation behind it, if it had one."""

    def __init__(self, norm: nn.BatchNorm2d) -> None:
        super().__init__(*([norm.act] if isinstance(norm, BatchNormAct2d) else []))
        self.num_features = norm.num_features


def _pairs(net: nn.Module, images: Tensor) -> list[tuple[str, str]]:
    """Names of convolutions and of the BatchNorms that read just what they put out, seen in one pass of the net."""
    calls: Counter[str] = Counter()
    made: dict[int, tuple[str, Tensor]] = {}  # outputs are kept, so that no other tensor gets their id
    pairs: list[tuple[str, str]] = []
    hooks = []
    for name, module in net.named_modules():
        if type(module) in FOLDABLE:

            def after(_: nn.Module, __: Any, out: Tensor, name: str = name) -> None:
                calls[name] += 1
                made[id(out)] = (name, out)

            hooks.append(module.register_forward_hook(after))
        elif type(module) in (nn.BatchNorm2d, BatchNormAct2d) and module.running_mean is not None:

            def before(_: nn.Module, given: tuple[Tensor], name: str = name) -> None:
                calls[name] += 1
                if id(given[0]) in made:
                    pairs.append((made[id(given[0])][0], name))

            hooks.append(module.register_forward_pre_hook(before))
    net(images)
    for hook in hooks:
        hook.remove()
    return [pair for pair in pairs if all(calls[name] == 1 for name in pair)]
