"""What is compared in training: a patch with and without stored features, against what one would use instead."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

import timm
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.methods.adapted import AdaptedMethod, AdaptedNet
from benchmarks.methods.finetune import FineTuned
from benchmarks.methods.parallel_adapters import ParallelAdapters
from benchmarks.methods.series_adapters import SeriesAdapters
from benchmarks.perf.flops import flops_of
from benchmarks.worlds.recipes import local_recipes
from delta_core import DeltaConfig, DeltaModel

Arm = Literal[
    "delta", "delta_features", "head", "head_features", "finetune", "lora", "parallel_adapters", "series_adapters"
]
"""`*_features`: the suffix on features of the frozen prefix, as trained from the store; `lora`: on all convolutions."""
ARMS: tuple[Arm, ...] = get_args(Arm)
ADAPTERS: Mapping[str, type[AdaptedMethod]] = {
    "parallel_adapters": ParallelAdapters,
    "series_adapters": SeriesAdapters,
}
CLASSES = 10
LORA_RANK = 8


@dataclass(frozen=True, kw_only=True)
class TrainedArm:
    """A module that trains, and what it reads."""

    module: nn.Module
    """Inputs -> logits (B, N)."""
    prepare: Callable[[Tensor], Tensor]
    """Images (B, 3, S, S) -> inputs of the module; done once, not at every step."""

    def step(self, inputs: Tensor, labels: Tensor, optimizer: torch.optim.Optimizer) -> None:
        """One optimiser step on inputs of the module and labels (B,)."""
        F.cross_entropy(self.module(inputs), labels).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    def optimizer(self) -> torch.optim.Optimizer:
        """AdamW over what trains, as in the suite's recipe."""
        parameters = [parameter for parameter in self.module.parameters() if parameter.requires_grad]
        return torch.optim.AdamW(parameters, lr=1e-4, fused=parameters[0].device.type == "cpu")

    def train_flops(self, inputs: Tensor) -> int:
        """Floating-point operations of one forward and backward pass: the arithmetic limit of a step."""
        flops = flops_of(lambda: self.module(inputs).sum().backward())
        for parameter in self.module.parameters():
            parameter.grad = None
        return flops


def build(arm: Arm, architecture: str, n_modules: int, device: torch.device) -> TrainedArm:
    """An arm on a full-size timm net with random weights (time does not depend on them), in train mode.

    Frozen nets keep their BatchNorms in eval mode.
    """
    net = timm.create_model(architecture).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    if arm == "finetune":
        return TrainedArm(module=FineTuned(net, CLASSES, seed=0).train(), prepare=_as_it_is)
    if arm == "lora":
        return TrainedArm(module=_lora(net), prepare=_as_it_is)
    if arm in ADAPTERS:
        adapted = AdaptedNet(net, ADAPTERS[arm](recipe=local_recipes().adapters).adapt, CLASSES, seed=0)
        return TrainedArm(module=adapted.to(memory_format=torch.channels_last).train(), prepare=_as_it_is)
    model = DeltaModel(net)
    model.add_patch("task", num_classes=CLASSES, config=costed(n_modules) if "delta" in arm else None)
    model.train()
    if arm in ("delta", "head"):
        return TrainedArm(module=model, prepare=_as_it_is)
    prefix, suffix = model.split_at_first_patch()
    return TrainedArm(module=suffix, prepare=torch.no_grad()(prefix))


def costed(n_modules: int) -> DeltaConfig:
    """Modules to measure the cost of: BatchNorms that start fresh cost what others do, and wait for no images."""
    return DeltaConfig(n_modules=n_modules, norm_start="fresh")


def _as_it_is(images: Tensor) -> Tensor:
    return images


def _lora(net: nn.Module) -> nn.Module:
    """LoRA on every ungrouped convolution behind the stem and a new head, by huggingface/peft."""
    from peft import LoraConfig, get_peft_model  # an optional peer

    cast(Any, net).reset_classifier(CLASSES)
    stem = next(name for name, module in net.named_modules() if isinstance(module, nn.Conv2d))
    targets = [
        name
        for name, module in net.named_modules()
        if isinstance(module, nn.Conv2d) and module.groups == 1 and name != stem
    ]
    head = next(name for name, module in net.named_modules() if module is cast(Any, net).get_classifier())
    tuned = get_peft_model(
        cast(Any, net), LoraConfig(r=LORA_RANK, lora_alpha=LORA_RANK, target_modules=targets, modules_to_save=[head])
    )
    tuned.eval()  # its BatchNorms are frozen too
    return cast(nn.Module, tuned)
