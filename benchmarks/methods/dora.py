"""DoRA (Liu et al. 2024) on convolutions and linear layers, by huggingface/peft."""

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from benchmarks.methods.adapted import AdaptedMethod
from benchmarks.methods.peft_layers import inject, targets


@dataclass(frozen=True, kw_only=True)
class Dora(AdaptedMethod):
    """Train a low-rank update of the direction of each layer's weights, and their norms; and the head.

    The layers are LoRA's; each of the D output channels has one norm: r (k k C + D) + D weights.
    """

    name: ClassVar[str] = "dora"
    rank: int = 8

    def adapt(self, net: nn.Module) -> None:
        """Inject peft's layers; alpha = rank, so the update is not rescaled."""
        from peft import LoraConfig  # takes seconds to import

        inject(net, LoraConfig(r=self.rank, lora_alpha=self.rank, use_dora=True, target_modules=targets(net)))
