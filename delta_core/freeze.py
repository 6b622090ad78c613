"""The freezing contract: no gradient, no BatchNorm in train mode, not one byte changed.

"Frozen" is three properties and the field often keeps only the first (huggingface/peft#1732, pytorch#66073); each has
its own check here.
"""

import hashlib
from collections.abc import Mapping
from itertools import zip_longest

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from delta_core.errors import FrozenError


def freeze(backbone: nn.Module) -> None:
    """Switch off gradients and put every layer in eval mode (running statistics are then read, never updated)."""
    backbone.requires_grad_(False)
    backbone.eval()


def backbone_fingerprint(backbone: nn.Module) -> str:
    """SHA-256 over names, dtypes, shapes and bytes of the whole state dict, buffers and counters included.

    Tensors on the meta device have no bytes.

    Example:
        >>> norm = nn.BatchNorm2d(2)
        >>> before = backbone_fingerprint(norm)
        >>> _ = norm(torch.zeros(1, 2, 3, 3))  # train mode: the running statistics move
        >>> backbone_fingerprint(norm) == before
        False
    """
    return state_fingerprint(backbone.state_dict())


def state_fingerprint(state: Mapping[str, Tensor]) -> str:
    """`backbone_fingerprint` of the net that a state dict belongs to."""
    digest = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        digest.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
        if not tensor.is_meta:
            digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def backbone_structure(backbone: nn.Module) -> tuple[str, ...]:
    """What the net computes with its tensors: a line for each module with its name, class and settings.

    >>> backbone_structure(nn.Sequential(nn.ReLU()))
    (' torch.nn.modules.container.Sequential ', '0 torch.nn.modules.activation.ReLU ')
    """
    return tuple(
        f"{name} {type(module).__module__}.{type(module).__qualname__} {module.extra_repr()}"
        for name, module in backbone.named_modules()
    )


def assert_same_structure(backbone: nn.Module, structure: tuple[str, ...]) -> None:
    """Check that no module was exchanged since `backbone_structure` was taken: equal bytes would mean something else.

    Raises:
        FrozenError: naming the first module that differs.
    """
    now = backbone_structure(backbone)
    if now != structure:
        was, has = next(pair for pair in zip_longest(structure, now, fillvalue="nothing") if pair[0] != pair[1])
        raise FrozenError(f"A module of the backbone was exchanged: {has.strip()} now, {was.strip()} before.")


def assert_frozen(backbone: nn.Module, fingerprint: str) -> None:
    """Check the contract against the fingerprint taken before training.

    Raises:
        FrozenError: naming the first parameter that takes gradients, the first BatchNorm in train mode, or the two
            fingerprints if the bytes differ.

    Example:
        >>> norm = nn.BatchNorm2d(2)
        >>> freeze(norm)
        >>> assert_frozen(norm, backbone_fingerprint(norm))
    """
    for name, parameter in backbone.named_parameters():
        if parameter.requires_grad:
            raise FrozenError(f"Backbone parameter {name} takes gradients; call freeze(backbone) before training.")
    for name, module in backbone.named_modules():
        if isinstance(module, _BatchNorm) and module.training:
            raise FrozenError(f"BatchNorm {name} of the backbone is in train mode; its statistics would drift.")
    now = backbone_fingerprint(backbone)
    if now != fingerprint:
        raise FrozenError(f"Backbone bytes changed: fingerprint {now[:12]} now, {fingerprint[:12]} before.")
