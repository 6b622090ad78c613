"""OFT, orthogonal fine-tuning (Qiu et al. 2023), by huggingface/peft."""

import warnings
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from benchmarks.methods.adapted import AdaptedMethod, swap
from benchmarks.methods.peft_layers import inject, targets


class Flattened(nn.Module):
    """A linear layer on (..., C) run on (N, C): peft's takes four dimensions for those of a convolution's images."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        y: Tensor = self.layer(x.flatten(0, -2)).unflatten(0, x.shape[:-1])
        return y


@dataclass(frozen=True, kw_only=True)
class Oft(AdaptedMethod):
    """Train a block-diagonal rotation in front of LoRA's 1 x 1 convolutions and linear layers, and the head.

    Wider kernels are left out: there peft 0.21 rotates overlapping patches of the input and adds them up, which is not
    the identity at the start (`Boft` rotates their weights). A layer of C inputs gets C (b - 1) / 2 angles; where b
    does not divide C, peft takes the nearest divisor.
    """

    name: ClassVar[str] = "oft"
    block_size: int = 8

    def adapt(self, net: nn.Module) -> None:
        """Inject peft's layers; rotations are Cayley transforms by peft's default series of five terms."""
        from peft import OFTConfig  # takes seconds to import
        from peft.tuners.oft.layer import Linear

        pointwise = [name for name in targets(net) if _is_pointwise(net.get_submodule(name))]
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Invalid `oft_block_size`")
            inject(net, OFTConfig(oft_block_size=self.block_size, target_modules=pointwise))
        swap(net, lambda module: isinstance(module, Linear), Flattened)


def _is_pointwise(layer: nn.Module) -> bool:
    return isinstance(layer, nn.Linear) or layer.kernel_size == (1, 1)
