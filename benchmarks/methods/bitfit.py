"""BitFit (Ben Zaken et al. 2022): all bias terms that the net has, norms' shifts among them, and nothing else."""

import copy
from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from benchmarks.methods.adapted import AdaptedMethod
from delta_core.families import base_head


@dataclass(frozen=True, kw_only=True)
class BitFit(AdaptedMethod):
    """Train the biases and the head; statistics of BatchNorms stay the backbone's."""

    name: ClassVar[str] = "bitfit"

    def adapt(self, net: nn.Module) -> None:
        """Give the task its own biases."""
        head = base_head(net)
        for module in net.modules():
            bias = getattr(module, "bias", None)
            if module is not head and isinstance(bias, nn.Parameter):
                module.bias = copy.deepcopy(bias).requires_grad_(True)
