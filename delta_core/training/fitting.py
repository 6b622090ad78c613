"""`fit`: train the active patch of a model, on stored features wherever the views of the images are fixed."""

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

import torch
from torch import Tensor, nn

from delta_core import DeltaConfig, DeltaModel
from delta_core.patch import memory_format_of
from delta_core.training.accuracy import Accuracy, accuracy_of, calibrated_losses
from delta_core.training.callback import Callback
from delta_core.training.checkpoint import Checkpoint
from delta_core.training.class_weights import ClassWeights, WeightedCrossEntropy, balanced_weights
from delta_core.training.data.labelled import Data, class_names_in, has_validation
from delta_core.training.data.splits import NamedSplit, Split, eval_batches
from delta_core.training.engine import predict, top1
from delta_core.training.errors import UserError, check_counts, check_precision, trouble_of_the_machine
from delta_core.training.evaluation import data_reader, names_of
from delta_core.training.fabric import devices_of, make_fabric, to_device, torch_state_kept
from delta_core.training.history import Epoch, History
from delta_core.training.identity import content_id
from delta_core.training.memory_store import MemoryStore
from delta_core.training.objective import Objective
from delta_core.training.patch import train_patch
from delta_core.training.prefix_features import PrefixFeatures
from delta_core.training.provenance import device_name
from delta_core.training.recipe import Recipe
from delta_core.training.tensor_store import CACHE_GB, TensorStore


@dataclass(frozen=True, kw_only=True)
class FitResult:
    """What a training was like."""

    history: tuple[Epoch, ...]
    """Every epoch, those before an interruption among them."""
    kept_epoch: int
    """Number of the epoch whose weights the patch has: the last one, with `patience` the best one."""
    val_accuracy: Accuracy | None
    """Of the patch as it is now on the validation images, by class too; None without any."""
    val_losses: Tensor | None
    """`calibrated_losses` (N,) on them."""
    steps: int
    """Optimiser steps of all epochs."""
    seconds: float
    """This call, reading and features included."""
    device: str
    """Where it ran, e.g. the name of the GPU."""
    precision: str


def fit(
    model: DeltaModel,
    train: Data,
    val: Data | None = None,
    *,
    recipe: Recipe = Recipe(),  # noqa: B008 - frozen
    patience: int | None = None,
    class_weights: ClassWeights | None = None,
    cache: str | Path | None = None,
    device: str = "auto",
    precision: str = "32-true",
    seed: int = 0,
    workers: int = 0,
    on_epoch: Callable[[Epoch], None] | None = None,
    callbacks: Iterable[Callback] = (),
    checkpoint: str | Path | None = None,
) -> FitResult:
    """Train the active patch of a model; the backbone stays as it is, to the bit, which is checked at the end.

    The patch goes on from what it is: a fresh one is calibrated first. The model is left on the device, in eval mode.
    Equal data, patch, recipe and seed give equal bits on one kind of CPU, with any `cache`, interrupted or not.

    Args:
        model: whose active patch has a head.
        train: a folder with one folder of images per class (of one with splits, its train/); a data set of
            (image, label); images (N, C, H, W) with labels (N,). PIL images and uint8 are resized, cropped and
            normalised as the weights want it; floats are taken as inputs that are normalised already. Class folders
            are matched with the class names of the patch, or counted in alphabetical order, and then name its classes.
        val: images to follow the training on, in the same forms. None: the val/ of a folder with splits, else nothing
            is held out and the history has the training loss alone.
        recipe: optimiser, schedule and views. With `views` 0 the images are read in every epoch, augmented afresh, or
            as the data set's own transform draws them; else they are read once, and a random transform is drawn once.
        patience: stop when the validation top-1 has not risen for so many epochs, and keep the best epoch's weights.
            The schedule of the rate stays that over all epochs.
        class_weights: `balanced` weighs classes in the loss, for data in which some are rare.
        cache: folder in which features are kept for other trainings and processes, at most `CACHE_GB`. None: in memory,
            for this training, as long as they are few.
        device: `auto` (the first CUDA device, if any), `cpu`, `cuda:1` or `mps`.
        precision: as Lightning Fabric names it: `32-true`, `bf16-mixed` or `16-mixed`.
        seed: of the order of the images and of fresh views.
        workers: processes that decode images.
        on_epoch: called after each epoch, e.g. `RichProgress()`.
        callbacks: hear of steps too, e.g. `TensorBoardLog("logs")`.
        checkpoint: file for the state after each epoch, every five minutes and when Ctrl-C or SIGTERM comes. The same
            call goes on from it; it is left to you to remove.

    Raises:
        UserError: for data, recipe or device that cannot be used, or a checkpoint of another training.
        DeltaError: if no patch is active, or neither it nor the net says how images become inputs.
        DivergedError: when the loss is NaN or infinite.
        FrozenError: if the backbone changed.
    """
    started = time.perf_counter()
    place = torch.device(devices_of(device)[0])
    _check_choices(recipe, patience, class_weights, precision, place)
    if val is None and has_validation(train):
        val = train
    if patience is not None and val is None:
        raise UserError(f"patience is {patience}, but without validation images nothing says when to stop; give val.")
    patch, reader = model.patch(), data_reader(model, workers=workers, by_content=cache is not None)
    with torch_state_kept():
        torch.manual_seed(seed)  # a data set's own transform may draw as soon as it is read
        # Fresh views are never kept, so that the data need no identity.
        fixed = replace(reader, by_content=reader.by_content and recipe.views > 0)
        images = fixed.open(train, "train", views=recipe.views)
        names = patch.class_names or class_names_in(train)
        validation = None if val is None else replace(reader, class_names=names).open(val, "val")
        _check_patch(model, images.images, recipe)
        training = _Training(
            backbone=model.fingerprint,
            config=patch.config,
            classes=patch.num_classes,
            train=_labels_sha(images),
            val="" if validation is None else _labels_sha(validation),
            recipe=recipe,
            patience=patience,
            class_weights=class_weights,
            precision=precision,
            seed=seed,
        )
        with _on_device(model, place):
            fabric = make_fabric(str(place), precision, callbacks)
            store = MemoryStore() if cache is None else TensorStore(root=Path(cache), limit_gb=CACHE_GB)
            features = PrefixFeatures(model=model, store=store, device=place, dtype=recipe.feature_dtype)
            _, suffix = model.split_at_first_patch()
            answers = None if validation is None else _answers(suffix, features.of(validation), place)
            history = History(
                patch,
                epochs=recipe.epochs,
                measure=None if answers is None else lambda: top1(*answers()),
                patience=patience,
            )
            kept = None if checkpoint is None else Checkpoint(path=Path(checkpoint), identity=content_id(training))
            steps = train_patch(
                model,
                features,
                images,
                recipe,
                fabric,
                seed=seed,
                objective=_objective(class_weights, images.images.labels, patch.num_classes, place),
                watch=history,
                on_epoch=None if on_epoch is None else lambda *_: on_epoch(history.epochs[-1]),
                checkpoint=kept,
            )
            history.restore_best()
            patch.class_names = names
            val_accuracy = val_losses = None
            if answers is not None:
                logits, labels = answers()
                val_accuracy = accuracy_of(logits, labels, names_of(patch))
                val_losses = calibrated_losses(logits, labels)
    model.assert_frozen()
    return FitResult(
        history=tuple(history.epochs),
        kept_epoch=history.kept,
        val_accuracy=val_accuracy,
        val_losses=val_losses,
        steps=steps,
        seconds=time.perf_counter() - started,
        device=device_name(place),
        precision=precision,
    )


@dataclass(frozen=True, kw_only=True)
class _Training:
    """What a checkpoint belongs to. Images count by their labels, so that they need not be read once more."""

    backbone: str
    config: DeltaConfig | None
    classes: int
    train: str
    val: str
    recipe: Recipe
    patience: int | None
    class_weights: ClassWeights | None
    precision: str
    seed: int


def _labels_sha(named: NamedSplit) -> str:
    return hashlib.sha256(named.images.labels.numpy().tobytes()).hexdigest()


@contextmanager
def _on_device(model: DeltaModel, device: torch.device) -> Iterator[None]:
    """A model as it trains fastest, and of its patches only the active one taking gradients; left in eval mode."""
    layout = memory_format_of(model.backbone)
    others = [patch for name, patch in model.patches.items() if name != model.active_patch]
    resting = [each for patch in others for each in patch.parameters() if each.requires_grad]
    to_device(model, device)
    for parameter in resting:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in resting:
            parameter.requires_grad_(True)
        model.to(memory_format=layout)  # the layout chooses the kernel, and so the last bit of the base's answers
        model.eval()


def _answers(suffix: nn.Module, seen: Split, device: torch.device) -> Callable[[], tuple[Tensor, Tensor]]:
    """A function that gives the logits of the patch as it is now, and the labels."""
    return lambda: (predict(suffix, eval_batches(seen, device)), seen.labels)


def _objective(
    class_weights: ClassWeights | None, labels: Tensor, classes: int, device: torch.device
) -> Objective | None:
    if class_weights is None:
        return None
    return WeightedCrossEntropy(balanced_weights(labels, classes).to(device))


def _check_choices(
    recipe: Recipe, patience: int | None, class_weights: str | None, precision: str, device: torch.device
) -> None:
    """Raise UserError for a number or name that no training can use."""
    check_counts(epochs=recipe.epochs, batch_size=recipe.batch_size, micro_batch=recipe.micro_batch, patience=patience)
    check_precision(precision, device.type)
    if recipe.views < 0:
        raise UserError(f"views is {recipe.views}; give 0 for fresh views, or the number of fixed ones.")
    if class_weights not in (None, *get_args(ClassWeights)):
        raise UserError(f"class weights are {class_weights!r}; give 'balanced', or None for classes that weigh alike.")


def _check_patch(model: DeltaModel, train: Split, recipe: Recipe) -> None:
    """Raise UserError where nothing learns, the input is too small for the net, or a batch for a BatchNorm."""
    if not any(parameter.requires_grad for parameter in model.patch().parameters()):
        raise UserError(f"Patch {model.active_patch!r} takes no gradients; call patch().requires_grad_(True) first.")
    size, images = train.preprocessing.image_size, len(train.labels)
    parameter = next(model.backbone.parameters())
    try:
        with torch.no_grad(), model.disable_patches():
            features = model.eval().forward_features(parameter.new_zeros(1, 3, size, size))
    except RuntimeError as error:
        if trouble_of_the_machine(error):
            raise
        raise UserError(f"image size {size} is too small for {model.architecture}; choose a larger one.") from error
    last = 0 if recipe.steps_per_epoch else images % recipe.batch_size
    batch_of_one = 1 in (last, recipe.batch_size, recipe.micro_batch, images)
    has_norm = any(isinstance(module, nn.BatchNorm2d) for module in model.patch().modules())
    if batch_of_one and has_norm and features.shape[-2:].numel() == 1:
        raise UserError(
            f"With {images} images in batches of {recipe.batch_size} a batch of one image is left, too few for a "
            f"BatchNorm at {size} px; choose another batch size or a larger image size."
        )
