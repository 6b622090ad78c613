"""Parameter counts of full-size architectures, for comparison with the counts printed in Tables 2 and 10."""

from functools import cache

import timm
import torch

from benchmarks.dense.run import DenseArm
from benchmarks.domain_adaptation.spec import DomainMethod
from benchmarks.methods import AdaptedMethod, BatchNormAdapt, DeltaNetworks, FcOnly, ScratchDelta, Skips
from benchmarks.methods.adapted import trainable
from benchmarks.spec import MethodFacts
from benchmarks.transfer.method import Transfer
from delta_core import DeltaConfig
from delta_core.families import Block, base_head, stages_of
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
def adapted_params(architecture: str, method: AdaptedMethod) -> int:
    """Trainable parameters that the method adds to the full-size timm net, or copies for the task, without the head."""
    with torch.device("meta"):
        net = timm.create_model(architecture).requires_grad_(False)
        method.adapt(net)
    return trainable(net)


@cache
def backbone_params(architecture: str) -> int:
    """Parameters of the full-size timm net without its classifier: what PAINT and fine-tuning train."""
    with torch.device("meta"):
        backbone = timm.create_model(architecture)
    head = sum(parameter.numel() for parameter in base_head(backbone).parameters())
    return sum(parameter.numel() for parameter in backbone.parameters()) - head


def full_size_params(architecture: str, method: MethodFacts) -> int | None:
    """Trainable parameters, head left out, of a method on the full-size architecture of that name.

    None where only a part of the backbone is fine-tuned: Table 7's reference, which the paper does not count.
    """
    match method:
        case DenseArm(frozen_stages=int()):
            return None
        case DenseArm(n_delta_modules=count):
            return delta_params(architecture, DeltaConfig(n_modules=count)) if count else 0
        case DeltaNetworks(config=config) | Skips(config=config):
            return delta_params(architecture, config)
        case AdaptedMethod():
            return adapted_params(architecture, method)
        case FcOnly() | BatchNormAdapt():
            return 0
        case Transfer(config=config) if config:
            return backbone_params(architecture) + delta_params(architecture, config)
        case DomainMethod(delta=DeltaConfig() as config):
            return backbone_params(architecture) + delta_params(architecture, config)
        case ScratchDelta(config=DeltaConfig() as config):
            return backbone_params(architecture) + delta_params(architecture, config)
        case _:
            return backbone_params(architecture)
