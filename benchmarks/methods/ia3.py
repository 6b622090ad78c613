"""(IA)^3 (Liu et al. 2022) on convolutions and linear layers, by huggingface/peft."""

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from benchmarks.methods.adapted import AdaptedMethod
from benchmarks.methods.peft_layers import inject, targets


@dataclass(frozen=True, kw_only=True)
class Ia3(AdaptedMethod):
    """Train a scale per output channel of all ungrouped convolutions and linear layers but the stem, and the head."""

    name: ClassVar[str] = "ia3"

    def adapt(self, net: nn.Module) -> None:
        """Inject peft's layers; none counts as feed-forward, where the input would be scaled."""
        from peft import IA3Config  # takes seconds to import

        inject(net, IA3Config(target_modules=targets(net), feedforward_modules=[]))
