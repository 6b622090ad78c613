"""Parameters and multiply-adds of full-size architectures; embedded nets are slim and say little of either."""

from functools import cache

import timm
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.methods import DeltaNetworks, FcOnly, Method, ScratchDelta, Skips
from delta_core import DeltaConfig, DeltaModel
from delta_core.families import Block, base_head, stages_of
from delta_core.gates import n_skips
from delta_core.patch import Patch


@cache
def delta_params(architecture: str, config: DeltaConfig) -> int:
    """Trainable parameters of Delta-Networks on the full-size timm net, head left out (as the paper counts)."""
    with torch.device("meta"):
        backbone = timm.create_model(architecture)
        blocks = tuple(stage for stage in stages_of(backbone) if isinstance(stage, Block))
        patch = Patch(blocks, features=1, num_classes=1, config=config)
    return sum(parameter.numel() for parameter in patch.blocks.parameters())


@cache
def backbone_params(architecture: str) -> int:
    """Parameters of the full-size timm net without its classifier: what PAINT and fine-tuning train."""
    with torch.device("meta"):
        backbone = timm.create_model(architecture)
    head = sum(parameter.numel() for parameter in base_head(backbone).parameters())
    return sum(parameter.numel() for parameter in backbone.parameters()) - head


def full_size_params(architecture: str, method: Method) -> int:
    """Trainable parameters, head left out, of a method on the full-size architecture of that name."""
    match method:
        case DeltaNetworks(config=config) | Skips(config=config):
            return delta_params(architecture, config)
        case FcOnly():
            return 0
        case ScratchDelta(config=DeltaConfig() as config):
            return backbone_params(architecture) + delta_params(architecture, config)
        case _:
            return backbone_params(architecture)


FLOPS_IMAGE_SIZE = 224


@cache
def added_gmac(architecture: str, config: DeltaConfig, image_size: int = FLOPS_IMAGE_SIZE) -> float:
    """10^9 multiply-adds that a patch without head adds to one image on the full-size net, skip sums included."""
    with torch.device("meta"):
        net = timm.create_model(architecture)
        model = DeltaModel(net)
        model.add_patch("counted", num_classes=None, config=config)
        image = torch.zeros(1, 3, image_size, image_size)
    skips = 0

    def count_sums(part: torch.nn.Module, _: object, out: torch.Tensor) -> None:
        nonlocal skips
        k = len(part.block.sub_blocks)  # type: ignore[union-attr]
        skips += (n_skips(k) - k) * out.numel()  # the k of the net itself are additions that it makes anyway

    for part in model.patch().blocks.values():
        part.register_forward_hook(count_sums)
    with torch.no_grad(), FlopCounterMode(display=False) as plain, model.disable_patches():
        model.forward_features(image)
    with torch.no_grad(), FlopCounterMode(display=False) as patched:
        model.forward_features(image)
    return ((patched.get_total_flops() - plain.get_total_flops()) / 2 + skips) / 1e9
