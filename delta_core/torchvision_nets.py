"""Nets of torchvision by name, with weights by tag; their preprocessing travels with them the way timm's does."""

from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import nn
from torchvision.models import WeightsEnum

from delta_core.errors import DeltaError
from delta_core.nearest import nearest
from delta_core.reachable import reachable

PREFIX = "torchvision:"
"""Marks an architecture as torchvision's: `torchvision:resnet18`."""


class NoHead(nn.Identity):
    """In the place of a last linear layer whose width of input it keeps."""

    def __init__(self, head: nn.Linear) -> None:
        super().__init__()
        self.in_features = head.in_features


def create(name: str, tag: str | None, **options: Any) -> nn.Module:
    """A net of torchvision, with the weights of a tag (`IMAGENET1K_V1`) or, without a tag, random ones.

    `pretrained_cfg` of the net is in timm's format and holds the preprocessing of the weights (of the default weights
    when they are random). As with timm, `num_classes=0` leaves the head out: the net gives pooled features.

    Raises:
        DeltaError: for an unknown name, tag or option, or if the weights cannot be downloaded.

    Example:
        >>> create("resnet18", None).pretrained_cfg["interpolation"]
        'bilinear'
    """
    weights = _weights(name, tag or default_tag(name))
    headless = options.get("num_classes") == 0
    if headless:
        options = {key: value for key, value in options.items() if key != "num_classes"}
    kept = Path(torch.hub.get_dir(), "checkpoints", Path(weights.url).name)
    if tag and not kept.is_file() and not reachable([weights.url]):
        raise DeltaError(
            f"Weights {tag} of torchvision's {name} cannot be downloaded ({weights.url} takes no connection); connect "
            "to the network, or pass a file or weights='none'."
        )
    try:
        net: nn.Module = torchvision.models.get_model(name, weights=weights if tag else None, **options)
    except OSError as error:
        raise DeltaError(
            f"Weights {tag} of torchvision's {name} cannot be downloaded ({type(error).__name__}); connect to the "
            "network, or pass a file or weights='none'."
        ) from error
    except (TypeError, ValueError) as error:
        raise DeltaError(f"torchvision cannot make {name!r}: {error}".replace("\n", " ").rstrip(".") + ".") from error
    linear = {key: module for key, module in net.named_modules() if isinstance(module, nn.Linear)}
    classifier = [*linear][-1] if linear else None
    if headless and classifier:
        net.set_submodule(classifier, NoHead(linear[classifier]))
    view = weights.transforms()
    net.pretrained_cfg = {  # type: ignore[assignment]
        "architecture": PREFIX + name,
        "tag": weights.name,
        "classifier": classifier,
        "input_size": (3, view.crop_size[0], view.crop_size[0]),
        "crop_pct": view.crop_size[0] / view.resize_size[0],
        "interpolation": view.interpolation.value,
        "mean": tuple(view.mean),
        "std": tuple(view.std),
    }
    return net


def default_tag(name: str) -> str:
    """Tag of torchvision's own choice of weights.

    >>> default_tag("resnet50")
    'IMAGENET1K_V2'
    """
    known = torchvision.models.list_models(module=torchvision.models)
    if name not in known:
        close = ", ".join(nearest(name, known))
        raise DeltaError(
            f"Architecture {name!r} is not a torchvision model; nearest: {close}; "
            "torchvision.models.list_models() lists all."
        )
    tag: str = torchvision.models.get_model_weights(name).DEFAULT.name
    return tag


def _weights(name: str, tag: str) -> WeightsEnum:
    weights = torchvision.models.get_model_weights(name)
    if tag not in weights.__members__:
        raise DeltaError(f"torchvision's {name} has no weights {tag!r}; known are {', '.join(weights.__members__)}.")
    return weights[tag]
