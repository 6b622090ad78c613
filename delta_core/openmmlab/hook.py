"""What a training by mmengine has to do for a DeltaBackbone: calibrate its patch, and keep the freezing contract."""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

import torch
from mmengine.hooks import EMAHook, Hook
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.utils.data import DataLoader

from delta_core.errors import FrozenError
from delta_core.freeze import state_fingerprint
from delta_core.openmmlab.backbone import FROZEN, DeltaBackbone


@HOOKS.register_module()
class DeltaHook(Hook):  # type: ignore[misc]
    """Prepares every DeltaBackbone of a model for training, and proves that its net stays as it was.

    Before training, BatchNorms of a new patch become the identity on at most `batches` batches of training data; a
    patch that came with a checkpoint stays as it is. Without this hook a new patch whose BatchNorms start as the
    identity (the default) refuses to run. What is frozen is taken out of moving averages (EMA, SWA): the average of
    equal numbers differs from them in its last bits. At each checkpoint and at the end, a net that is not the one that
    training began with ends the training.

    Example:
        >>> DeltaHook(batches=8).batches
        8
    """

    priority = "LOW"
    """After mmengine's hooks of moving averages, which write into a checkpoint."""

    def __init__(self, batches: int = 32) -> None:
        self.batches = batches

    def before_train(self, runner: Runner) -> None:
        """Calibrate each backbone that needs it; leave what is frozen out of moving averages."""
        model = _plain(runner.model)
        for _, backbone in _backbones(model):
            if not backbone.calibrated:
                batches = (model.data_preprocessor(data, True) for data in _shuffled(runner.train_dataloader))
                backbone.calibrate(_images(batch) for batch in islice(batches, self.batches))
        for hook in runner.hooks:
            if isinstance(hook, EMAHook):
                _leave_out(hook, model)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Check the net as it will lie in the file.

        Raises:
            FrozenError: if a byte of it changed.
        """
        for prefix, backbone in _frozen_backbones(_plain(runner.model)):
            start = f"{prefix}{FROZEN}"
            state = checkpoint["state_dict"]
            saved = {name.removeprefix(start): tensor for name, tensor in state.items() if name.startswith(start)}
            if state_fingerprint(saved) != backbone.model.fingerprint:
                raise FrozenError(
                    f"The checkpoint of iteration {runner.iter} would hold another net below the patch than training "
                    f"began with ({prefix or 'model'}); see what averages or changes parameters that are frozen."
                )

    def after_train(self, runner: Runner) -> None:
        """Check the net itself. Raises FrozenError naming what changed."""
        for _, backbone in _frozen_backbones(_plain(runner.model)):
            backbone.assert_frozen()


def _plain(model: nn.Module) -> Any:
    return model.module if is_model_wrapper(model) else model


def _backbones(model: nn.Module) -> Iterator[tuple[str, DeltaBackbone]]:
    """Each with what stands in front of its names in the model's state dict."""
    for name, module in model.named_modules():
        if isinstance(module, DeltaBackbone):
            yield f"{name}." if name else "", module


def _frozen_backbones(model: nn.Module) -> Iterator[tuple[str, DeltaBackbone]]:
    """Those that are not fine-tuned in the stock reading."""
    return ((prefix, backbone) for prefix, backbone in _backbones(model) if not backbone.thawed)


@torch.no_grad()
def _leave_out(hook: EMAHook, model: nn.Module) -> None:
    """Give the averaged copy the frozen tensors as they are, and take them off the list of what it averages."""
    averaged = hook.ema_model
    copied, own = averaged.module.state_dict(), model.state_dict()
    for prefix, _ in _frozen_backbones(model):
        for name in [name for name in own if name.startswith(f"{prefix}{FROZEN}")]:
            copied[name].copy_(own[name])
            averaged.avg_parameters.pop(name, None)


def _shuffled(loader: DataLoader[Any]) -> DataLoader[Any]:
    """The data of a loader in a loader of its own: mmengine's InfiniteSampler ends for good when a reader leaves it."""
    return DataLoader(
        loader.dataset,
        batch_size=loader.batch_sampler.batch_size,  # type: ignore[union-attr]
        shuffle=True,
        generator=torch.Generator().manual_seed(0),
        collate_fn=loader.collate_fn,
    )


def _images(batch: Any) -> Tensor:
    """What a data preprocessor made of a batch -> (B, 3, H, W)."""
    images: Tensor = batch["inputs"] if isinstance(batch, Mapping) else batch[0]
    return images
