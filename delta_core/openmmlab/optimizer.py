"""The optimizer of a model of which most is frozen."""

from collections.abc import Mapping
from typing import Any

from mmengine.optim import DefaultOptimWrapperConstructor
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS
from torch import nn


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class TrainableOptimWrapperConstructor(DefaultOptimWrapperConstructor):  # type: ignore[misc]
    """mmengine's constructor, which hands the optimizer what is trained and passes over frozen modules in silence.

    mmengine's own lists frozen parameters in the optimizer, or leaves them out with a warning for each.

    Args:
        optim_wrapper_cfg: as mmengine's.
        paramwise_cfg: as mmengine's: factors of rates and decays by name.
    """

    def __init__(self, optim_wrapper_cfg: dict[str, Any], paramwise_cfg: Mapping[str, Any] | None = None) -> None:
        # With no such settings mmengine takes all parameters and never asks `add_params`.
        super().__init__(optim_wrapper_cfg, {"bypass_duplicate": True, **(paramwise_cfg or {})})

    def add_params(
        self,
        params: list[dict[str, Any]],
        module: nn.Module,
        prefix: str = "",
        is_dcn_module: int | float | None = None,
    ) -> None:
        """Add the groups of a module and of what is inside, unless all of it is frozen."""
        if any(parameter.requires_grad for parameter in module.parameters()):
            super().add_params(params, module, prefix=prefix, is_dcn_module=is_dcn_module)
