"""Every net of a supported class, on the meta device or with random numbers, and how far it can be tried out here.

`python tests/support/backbones.py` rewrites delta_core/backbones.txt, the list behind `list_backbones()`.
"""

import math
from pathlib import Path
from typing import Any

import timm
import torch
import torchvision
from timm.models import _registry
from torch import nn
from torch.overrides import TorchFunctionMode

import delta_core
from delta_core.families import Block, stages_of

LISTING = Path(delta_core.__file__).parent / "backbones.txt"
TIMM_FILES = {"convnext", "densenet", "efficientnet", "hardcorenas", "mobilenetv3", "regnet", "resnet"}
TORCHVISION_FILES = {"convnext", "densenet", "efficientnet", "mobilenetv2", "mobilenetv3", "regnet", "resnet"}
MOST_PARAMS = 60_000_000
"""Larger nets take too long on one core."""


def candidates() -> list[str]:
    """Names of all nets in the files of timm and torchvision whose classes are supported."""
    timm_names = [name for name in timm.list_models() if _registry._model_to_module[name] in TIMM_FILES]
    models = torchvision.models
    tv_names = [
        f"torchvision:{name}"
        for name in models.list_models(module=models)
        if models.get_model_builder(name).__module__.rpartition(".")[2] in TORCHVISION_FILES
    ]
    return timm_names + tv_names


class _MetaParameters(TorchFunctionMode):
    """Makes parameters on the meta device but leaves arithmetic about depths and widths where it can be read."""

    def __torch_function__(self, func: Any, _: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func in (torch.empty, torch.zeros, torch.ones) and kwargs.get("device") is None:
            kwargs["device"] = "meta"
        return func(*args, **kwargs)


def on_meta(name: str, *, units_per_block: int | None = None) -> nn.Module:
    """A net without memory for its parameters; of every block, the first so many units."""
    with _MetaParameters():
        plain = name.removeprefix("torchvision:")
        net = timm.create_model(name) if plain == name else torchvision.models.get_model(plain)
    for block in blocks_of(net):
        for unit in block.sub_blocks[units_per_block:] if units_per_block and block.wiring == "sum" else ():
            parent, _, child = unit.rpartition(".")
            delattr(net.get_submodule(parent), child)
    return net.eval()


@torch.no_grad()
def filled(net: nn.Module) -> nn.Module:
    """A net of `on_meta` in memory, with random numbers everywhere, so that no layer is the identity."""
    net._apply(lambda tensor: torch.empty_like(tensor, device="cpu") if tensor.is_meta else tensor)
    generator = torch.Generator().manual_seed(0)
    for module in net.modules():
        for tensor in (*module.parameters(recurse=False), *module.buffers(recurse=False)):
            if not tensor.is_floating_point():
                tensor.zero_()
            elif tensor.ndim < 2 or tensor.numel() == len(tensor):  # norms, biases, layer scales
                tensor.uniform_(0.1, 0.6, generator=generator)
            else:
                fan_in = math.prod(getattr(module, "weight_shape", tensor.shape)[1:])  # conditional weights are flat
                tensor.uniform_(-1, 1, generator=generator).mul_((3 / fan_in) ** 0.5)
    return net


def blocks_of(net: nn.Module) -> list[Block]:
    return [stage for stage in stages_of(net) if isinstance(stage, Block)]


def tried(name: str) -> str:
    """How a net is tried: `run`, `shallow` (run with two units a block), `structure` (shapes alone), or `` if it has
    no block."""
    net = on_meta(name)
    if not blocks_of(net):
        return ""
    if n_params(net) <= MOST_PARAMS:
        return "run"
    return "shallow" if n_params(on_meta(name, units_per_block=2)) <= MOST_PARAMS else "structure"


def n_params(net: nn.Module) -> int:
    return sum(parameter.numel() for parameter in net.parameters())


if __name__ == "__main__":
    lines = [f"{name} {how}\n" for name in candidates() if (how := tried(name))]
    LISTING.write_text("".join(lines))
    print(f"{len(lines)} names")
