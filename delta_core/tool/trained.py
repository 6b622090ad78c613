"""One training of a patch on a person's images: what it is made of, and what came of it."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from delta_core import DeltaConfig, DeltaModel, training
from delta_core.patch import Patch
from delta_core.tool.data import Photos
from delta_core.tool.options import FitOptions
from delta_core.training.accuracy import Accuracy
from delta_core.training.class_weights import ClassWeights
from delta_core.training.feature_room import FeatureRoom
from delta_core.training.fitting import FitResult
from delta_core.training.history import Epoch
from delta_core.training.identity import NEW_SINCE_RECORDED, content_id, derive_seed, weights_identity
from delta_core.training.prefix_features import feature_shape
from delta_core.training.recipe import Recipe
from delta_core.training.tensorboard_log import TensorBoardLog
from delta_core.weights import is_file


@dataclass(frozen=True, kw_only=True)
class FitSpec:
    """What a training is: equal ones share their checkpoint, their seeds and their bits."""

    architecture: str
    weights: str
    task: str
    data: str
    """Identity of the images."""
    config: DeltaConfig | None
    recipe: Recipe
    image_size: int
    seed: int
    patience: int | None = field(default=None, metadata=NEW_SINCE_RECORDED)
    class_weights: ClassWeights | None = field(default=None, metadata=NEW_SINCE_RECORDED)
    is_trial: bool = field(default=False, metadata=NEW_SINCE_RECORDED)
    """Whether it trains on a part of the images, so that the others choose."""

    @property
    def run_id(self) -> str:
        """Twelve hexadecimal digits."""
        return content_id(self)

    def log_folder(self, name: str) -> str:
        """Where the log of this training lies, of a patch of that name: `flowers/modules-2-0123456789ab`."""
        kind = "trial-modules" if self.is_trial else "modules"
        return f"{name}/{kind}-{self.config.n_modules if self.config else 0}-{self.run_id}"

    @property
    def init_seed(self) -> int:
        """Draws the initial values of what is added to the net, as the benchmarks' run of the same training does."""
        if self.config is None:
            return derive_seed("init", self.architecture, self.task, "fc_only", "/0", self.seed)
        count = self.config.n_modules
        reading = "paper" if self.config == DeltaConfig.paper(n_modules=count) else "maps"
        return derive_seed("init", self.architecture, self.task, "delta_networks", f"{reading}/{count}", self.seed)

    @property
    def order_seed(self) -> int:
        """Draws the order of the batches."""
        return derive_seed("order", self.task, self.seed)


@dataclass(frozen=True, kw_only=True)
class Listener:
    """Who is told how the training goes."""

    say: Callable[[str], None]
    on_epoch: Callable[[Epoch], None]


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A training that ended."""

    spec: FitSpec
    patch: Patch
    result: FitResult

    @property
    def losses(self) -> Tensor:
        """`calibrated_losses` (N,) on the validation images."""
        assert self.result.val_losses is not None, "fit was given validation images"
        return self.result.val_losses

    @property
    def accuracy(self) -> Accuracy:
        """On the validation images."""
        assert self.result.val_accuracy is not None, "fit was given validation images"
        return self.result.val_accuracy


def train(
    model: DeltaModel,
    photos: Photos,
    options: FitOptions,
    *,
    weights: str,
    partial: Path,
    listener: Listener,
    is_trial: bool = False,
) -> Trained:
    """Train one patch, or go on from where the same training was interrupted; the model is left without it.

    Args:
        model: without patches, on its device.
        photos: the images.
        options: with a number of modules.
        weights: of the net, by their full name.
        partial: folder for checkpoints and features, which is there.
        listener: who is told.
        is_trial: whether the images are those of `Photos.to_choose_on`.
    """
    recipe, name = options.recipe(), options.out.name
    task = photos.task
    spec = FitSpec(
        architecture=options.arch,
        weights=weights_identity(Path(weights)) if is_file(weights) else weights,
        task=task.name,
        data=task.sha,
        config=options.config(),
        recipe=recipe,
        image_size=photos.preprocessing.image_size,
        seed=options.seed,
        patience=options.patience,
        class_weights=options.class_weights,
        is_trial=is_trial,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(spec.init_seed)
        model.add_patch(
            name,
            num_classes=task.classes,
            config=spec.config,
            class_names=photos.class_names,
            preprocessing=photos.preprocessing,
        )
    checkpoint, folder = partial / f"{spec.run_id}.pt", partial / f"{spec.run_id}.features"
    room = None
    if recipe.views and not model.patch().reads_image:
        room = FeatureRoom(
            images=recipe.views * len(photos.parts["train"].places) + len(photos.parts["val"].places),
            shape=feature_shape(model, photos.preprocessing.image_size),
            dtype=recipe.feature_dtype,
            free_disk_bytes=shutil.disk_usage(partial).free,
        )
        if not is_trial:
            listener.say(str(room))
    if checkpoint.exists():
        listener.say(f"Going on from {checkpoint}.")
    result = training.fit(
        model,
        task.named("train"),
        task.named("val"),
        recipe=recipe,
        patience=options.patience,
        class_weights=options.class_weights,
        cache=None if room is not None and room.place == "memory" else folder,
        device=str(next(model.backbone.parameters()).device),
        precision=options.precision,
        seed=spec.order_seed,
        on_epoch=listener.on_epoch,
        callbacks=[] if options.log_dir is None else [TensorBoardLog(options.log_dir / spec.log_folder(name))],
        checkpoint=checkpoint,
    )
    patch = model.patch()
    model.delete_patch(name)
    return Trained(spec=spec, patch=patch, result=result)
