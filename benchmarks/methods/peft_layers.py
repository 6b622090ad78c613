"""What methods of huggingface/peft share: which layers they adapt, and how peft puts its own in."""

from typing import Any

from torch import nn

from delta_core.families import base_head
from delta_core.training.errors import UserError


def targets(net: nn.Module) -> list[str]:
    """Names of all ungrouped convolutions and linear layers but the stem and the base head."""
    head = base_head(net)
    layers = [
        (name, module)
        for name, module in net.named_modules()
        if isinstance(module, nn.Linear) or (isinstance(module, nn.Conv2d) and module.groups == 1)
    ]
    stem = next(module for _, module in layers if isinstance(module, nn.Conv2d))
    return [name for name, module in layers if module is not stem and module is not head]


def inject(net: nn.Module, config: Any) -> None:
    """Let peft wrap the target layers of `config` in place; what it adds trains, the rest stays frozen.

    Raises:
        UserError: if there is no such layer.
    """
    from peft import inject_adapter_in_model

    if not config.target_modules:
        kind = type(config).__name__.removesuffix("Config")
        raise UserError(f"{kind} of this size fits no layer of {type(net).__name__}; choose a smaller one.")
    inject_adapter_in_model(config, net)
