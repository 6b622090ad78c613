"""BOFT, butterfly orthogonal fine-tuning (Liu et al. 2024), by huggingface/peft."""

from dataclasses import dataclass
from typing import ClassVar
from unittest.mock import patch

import torch
from torch import nn

from benchmarks.methods.adapted import AdaptedMethod
from benchmarks.methods.peft_layers import inject, targets

LONGEST_ROW = 1152
"""peft multiplies dense square matrices of this side in every step; those of longer rows take most of a step."""


@dataclass(frozen=True, kw_only=True)
class Boft(AdaptedMethod):
    """Train a block-diagonal rotation of the weights of LoRA's layers, a scale per output channel, and the head.

    With one butterfly factor, the only one that peft has without its CUDA extension: OFT of the weights, for any
    kernel. A k x k convolution C -> D gets k k C b + D weights. Layers whose rows of k k C weights are longer than
    `LONGEST_ROW`, or not divided by b, are left out.
    """

    name: ClassVar[str] = "boft"
    block_size: int = 8

    def adapt(self, net: nn.Module) -> None:
        """Inject peft's layers."""
        from peft import BOFTConfig  # takes seconds to import

        chosen = [name for name in targets(net) if self._fits(net.get_submodule(name))]
        for name in chosen:  # peft views a kernel as a matrix, which a channels-last one is not; the base keeps its own
            layer = net.get_submodule(name)
            weight = layer.get_parameter("weight")
            if not weight.is_contiguous():
                layer.weight = nn.Parameter(weight.detach().contiguous(), requires_grad=False)
        # peft would try to compile its extension once for every layer, and cannot permute on the meta device.
        with patch("peft.tuners.boft.layer.get_fbd_cuda", return_value=None), torch.device("cpu"):
            inject(net, BOFTConfig(boft_block_size=self.block_size, target_modules=chosen))

    def _fits(self, layer: nn.Module) -> bool:
        weight = layer.weight
        assert isinstance(weight, nn.Parameter)
        row = weight[0].numel()
        return row <= LONGEST_ROW and row % self.block_size == 0
