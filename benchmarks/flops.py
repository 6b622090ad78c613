"""Multiply-adds that a patch adds to full-size architectures; embedded nets are slim and say little of them."""

from functools import cache

import timm
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from delta_core import DeltaConfig, DeltaModel
from delta_core.gates import n_skips

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

    def count_sums(part: nn.Module, _: object, out: Tensor) -> None:
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
