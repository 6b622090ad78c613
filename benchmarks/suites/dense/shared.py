"""A run of Table 7 that several devices share, by mmengine's own distributed training.

Losses of detectors are means over what was sampled in the images of a device, so that, other than with classifiers,
rows are those of one device in distribution alone.
"""

import os
from typing import Any

from mmengine.config import Config
from mmengine.model import MMDistributedDataParallel
from mmengine.registry import MODEL_WRAPPERS
from torch import nn

from delta_core.training.errors import UserError
from delta_core.training.ranks import Rank, unsynced_buffers


@MODEL_WRAPPERS.register_module()
class OnItsDevice(MMDistributedDataParallel):  # type: ignore[misc]
    """mmengine's wrapper for a module that lies where it is to be trained; its own one is for GPUs alone."""

    def __init__(self, module: nn.Module, device_ids: Any = None, **options: Any) -> None:  # noqa: ARG002
        device = next(module.parameters()).device
        super().__init__(module, device_ids=[device.index] if device.type == "cuda" else None, **options)


def share(config: Config, rank: Rank) -> None:
    """Deal the batches of a config to so many processes.

    Raises:
        UserError: if they cannot be shared evenly.
    """
    batch_size = config.train_dataloader.batch_size
    if batch_size % rank.world_size:
        raise UserError(
            f"{rank.world_size} devices are to share a run, and its batches have {batch_size} images; give a number "
            f"that divides {batch_size}."
        )
    config.train_dataloader.batch_size = batch_size // rank.world_size
    config.launcher = "pytorch"
    os.environ.setdefault("LOCAL_RANK", "0")  # mmengine reads it, though the wrapper does not need it
    config.model_wrapper_cfg = {"type": "OnItsDevice", **unsynced_buffers()}
