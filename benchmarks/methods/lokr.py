"""LoKr (Yeh et al. 2024, LyCORIS) on convolutions and linear layers, by huggingface/peft."""

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from benchmarks.methods.adapted import AdaptedMethod
from benchmarks.methods.peft_layers import inject, targets

WHOLE = 1 << 20
"""A rank above which no layer's second factor is decomposed further."""


@dataclass(frozen=True, kw_only=True)
class Lokr(AdaptedMethod):
    """Train an update of LoRA's layers that is a Kronecker product of two matrices, and the head.

    A k x k convolution C -> D gets factors f x f and D/f x C/f x k x k: f f + k k C D / (f f) weights. Where f does not
    divide a width, peft takes the largest divisor below it.
    """

    name: ClassVar[str] = "lokr"
    factor: int = 8
    """The smaller, the larger the update's second factor."""

    def adapt(self, net: nn.Module) -> None:
        """Inject peft's layers; alpha = rank, so the update is not rescaled."""
        from peft import LoKrConfig  # takes seconds to import

        inject(net, LoKrConfig(r=WHOLE, alpha=WHOLE, decompose_factor=self.factor, target_modules=targets(net)))
