"""BatchNorms that start as the identity on base features.

Shape legend: B batch, C channels, H W size.
"""

from collections.abc import Iterable, Sequence
from typing import Any, cast

import torch
from torch import Tensor

from delta_core.errors import DeltaError
from delta_core.families import Block
from delta_core.patch import BlockPatch
from delta_core.staged import StagedNet

Batches = Iterable[Tensor | Sequence[Any]]
"""Normalised images (B, 3, H, W), alone or in front of labels."""


@torch.no_grad()
def calibrate(net: StagedNet, batches: Batches, *, from_prefix: bool) -> None:
    """`DeltaModel.calibrate`."""
    patch = net.patch()
    device = next(net.backbone.parameters()).device
    moments: dict[str, list[Tensor]] = {}
    for batch in batches:
        x = _images_of(batch).to(device)
        for stage in net.stages[net.first_gated(patch) if from_prefix else 0 :]:
            x = net.run_stage(stage, x, None)
            if isinstance(stage, Block) and patch.of(stage) is not None:
                features = x.double()
                count = torch.tensor(float(x.numel() // x.shape[1]), dtype=torch.double, device=x.device)
                sums = [count, features.sum((0, 2, 3)), features.square().sum((0, 2, 3))]
                held = moments.setdefault(stage.name, [torch.zeros_like(part) for part in sums])
                moments[stage.name] = [old + new for old, new in zip(held, sums, strict=True)]
    gated = [stage for stage in net.stages if isinstance(stage, Block) and patch.of(stage) is not None]
    if gated and not moments:
        raise DeltaError("calibrate got no batch; give at least one of training images.")
    if broken := [name for name, sums in moments.items() if not torch.stack(sums[1:]).isfinite().all()]:
        raise DeltaError(f"The base features of {broken[0]} are not finite; look for such values in the images.")
    for block in gated:
        count, total, squares = moments[block.name]
        mean = total / count
        cast(BlockPatch, patch.of(block)).set_norm_to_identity(mean, (squares / count - mean.square()).clamp_min(0))
    patch.waits_for_calibration = False


def _images_of(batch: Tensor | Sequence[Any]) -> Tensor:
    """The images of a batch, or of a pair with its labels."""
    images = batch[0] if isinstance(batch, tuple | list) and batch else batch
    if isinstance(images, Tensor) and images.is_floating_point() and images.ndim != 3:
        return images
    what = f"{tuple(images.shape)} {images.dtype}" if isinstance(images, Tensor) else type(images).__name__
    raise DeltaError(
        f"calibrate got a batch of {what}; give normalised float images (B, 3, H, W), alone or in front of labels."
    )
