"""What methods cost on full-size architectures; embedded nets are slim and say little of them.

Parameter counts are for comparison with those printed in Tables 2 and 10, multiply-adds for our ablations.
"""

import copy
from dataclasses import replace
from functools import cache

import timm
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from delta_core import DeltaConfig, DeltaModel
from delta_core.families import Block, base_head, stages_of
from delta_core.gates import n_skips
from delta_core.patch import BlockPatch, Patch
from delta_core.training.prefix_features import feature_shape

IMAGE_SIZE = 224


def meta_net(architecture: str) -> nn.Module:
    """The full-size timm net on the meta device, a copy for each who changes it.

    Made once: on that device initial weights, which nobody sees, are drawn by Python code, for half a second a net.
    """
    return copy.deepcopy(_made_once(architecture))


@cache
def _made_once(architecture: str) -> nn.Module:
    with torch.device("meta"):
        return timm.create_model(architecture)


@cache
def delta_params(architecture: str, config: DeltaConfig) -> int:
    """Trainable parameters of Delta-Networks on the full-size timm net, head left out (as the paper counts)."""
    with torch.device("meta"):
        blocks = tuple(stage for stage in stages_of(_made_once(architecture)) if isinstance(stage, Block))
        patch = Patch(blocks, features=1, num_classes=1, config=config)
    return sum(parameter.numel() for parameter in patch.blocks.parameters())


@cache
def backbone_params(architecture: str) -> int:
    """Parameters of the full-size timm net without its classifier: what PAINT and fine-tuning train."""
    backbone = _made_once(architecture)
    head = sum(parameter.numel() for parameter in base_head(backbone).parameters())
    return sum(parameter.numel() for parameter in backbone.parameters()) - head


@cache
def prefix_shape(architecture: str, config: DeltaConfig | None, image_size: int) -> tuple[int, ...]:
    """Of what the part in front of a patch (None: a head alone) puts out at a size in pixels."""
    with torch.device("meta"):
        model = DeltaModel(meta_net(architecture))
        fresh = None if config is None else replace(config, norm_start="fresh")  # an identity would need images
        model.add_patch("counted", num_classes=1, config=fresh)
        return feature_shape(model.eval(), image_size)


@cache
def added_gmac(architecture: str, config: DeltaConfig) -> float:
    """10^9 multiply-adds that a patch without head adds to one image of 224 px, skip sums included.

    BatchNorms and activations are not counted, in the net as little as in the patch.
    """
    with torch.random.fork_rng(devices=[]):
        model = _full_size(architecture)
        # What a BatchNorm starts from changes no count, and only the identity would need images.
        model.add_patch("counted", num_classes=None, config=replace(config, norm_start="fresh"))
    try:
        return _added_by("counted", model)
    finally:
        model.delete_patch("counted")


def _added_by(name: str, model: DeltaModel) -> float:
    in_sums = 0

    def count_sums(part: BlockPatch, _: object, out: Tensor) -> None:
        nonlocal in_sums
        k = len(part.block.sub_blocks)
        in_sums += (n_skips(k) - k) * out.numel()  # the k of the net itself are additions that it makes anyway

    for block in model.blocks:
        part = model.patch().of(block)
        if part is not None:
            part.register_forward_hook(count_sums)
    # torch's counter asks gates that are parameters for the graph they come from, and there is none here.
    model.patch(name).requires_grad_(False)
    patched = _flops(model)
    with model.disable_patches():
        return ((patched - _flops(model)) / 2 + in_sums) / 1e9


@cache
def _full_size(architecture: str) -> DeltaModel:
    return DeltaModel(timm.create_model(architecture)).eval()


@torch.no_grad()
def _flops(model: DeltaModel) -> int:
    with FlopCounterMode(display=False) as counter:
        model.forward_features(torch.zeros(1, 3, IMAGE_SIZE, IMAGE_SIZE))
    return int(counter.get_total_flops())
