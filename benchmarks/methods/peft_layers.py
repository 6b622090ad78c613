"""What LoRA and IA3 share: which layers they adapt, and how peft puts its own in."""

from typing import Any

from torch import nn

from delta_core.families import base_head


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
    """Let peft wrap the target layers of `config` in place; what it adds trains, the rest stays frozen."""
    from peft import inject_adapter_in_model

    inject_adapter_in_model(config, net)
