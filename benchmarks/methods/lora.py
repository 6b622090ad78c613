"""LoRA (Hu et al. 2022) on convolutions and linear layers, by huggingface/peft."""

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from benchmarks.methods.adapted import AdaptedMethod
from benchmarks.methods.peft_layers import inject, targets


@dataclass(frozen=True, kw_only=True)
class Lora(AdaptedMethod):
    """Train a low-rank update of every ungrouped convolution and linear layer behind the stem, and the head.

    A k x k convolution C -> D gets a k x k convolution C -> r and a 1 x 1 convolution r -> D: r (k k C + D) weights.
    """

    name: ClassVar[str] = "lora"
    rank: int = 8

    def adapt(self, net: nn.Module) -> None:
        """Inject peft's layers; alpha = rank, so the update is not rescaled."""
        from peft import LoraConfig  # takes seconds to import

        inject(net, LoraConfig(r=self.rank, lora_alpha=self.rank, target_modules=targets(net)))
