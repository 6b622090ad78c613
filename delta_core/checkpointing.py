"""Gradient checkpointing of gated blocks: activations are recomputed in the backward pass instead of kept."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from delta_core.patch import BlockPatch


def run_checkpointed(part: BlockPatch, backbone: nn.Module, x: Tensor, scale: float, image: Tensor | None) -> Tensor:
    """`part(backbone, x, scale, image)` without keeping what lies between input and output.

    The second pass leaves running statistics alone, so that training takes the same steps to the same bits.
    """

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _statistics_kept(part)

    return cast(Tensor, checkpoint(part, backbone, x, scale, image, use_reentrant=False, context_fn=contexts))


@contextmanager
def _statistics_kept(part: nn.Module) -> Iterator[None]:
    """Whatever BatchNorms of `part` count inside the context is forgotten after it."""
    norms = [module for module in part.modules() if isinstance(module, _BatchNorm)]
    kept = [{name: buffer.clone() for name, buffer in norm.named_buffers()} for norm in norms]
    try:
        yield
    finally:
        with torch.no_grad():
            for norm, buffers in zip(norms, kept, strict=True):
                for name, buffer in norm.named_buffers():
                    buffer.copy_(buffers[name])
