"""LoHa (FedPara, Hyeon-Woo et al. 2022) on convolutions and linear layers, by huggingface/peft."""

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from benchmarks.methods.adapted import AdaptedMethod
from benchmarks.methods.peft_layers import inject, targets


@dataclass(frozen=True, kw_only=True)
class Loha(AdaptedMethod):
    """Train an update of LoRA's layers that is the elementwise product of two of rank r, and the head.

    A k x k convolution C -> D gets 2 r (k k C + D) weights for an update of rank up to r^2.
    """

    name: ClassVar[str] = "loha"
    rank: int = 4

    def adapt(self, net: nn.Module) -> None:
        """Inject peft's layers; alpha = rank, so the update is not rescaled."""
        from peft import LoHaConfig  # takes seconds to import

        inject(net, LoHaConfig(r=self.rank, alpha=self.rank, target_modules=targets(net)))
