"""`delta-patch fit`: a folder of images in, a patch folder out."""

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch

from delta_core import DeltaModel, FrozenError, backbone_fingerprint, training
from delta_core.exchange import LOCK, only_writer
from delta_core.patch import check_patch_name
from delta_core.patch_io import JSON_NAME
from delta_core.plain_text import is_line
from delta_core.tool.base import open_net
from delta_core.tool.choice import Trial, choose_modules, trial_of
from delta_core.tool.data import Photos, check_photos, load_photos
from delta_core.tool.fitted import write_fitted
from delta_core.tool.options import FitOptions
from delta_core.tool.record import TrainingRecord
from delta_core.tool.seen_images import seen_identity
from delta_core.tool.trained import Listener, Trained, train
from delta_core.tool.usual_gates import usual_gates
from delta_core.training.accuracy import Accuracy
from delta_core.training.data.splits import eval_batches, split_in_epoch
from delta_core.training.engine import predict
from delta_core.training.errors import UserError, check_precision
from delta_core.training.fabric import choose_deterministic_kernels, devices_of, to_device
from delta_core.training.provenance import provenance
from delta_core.weights import default_weights, preprocessing_of, weights_name


def fit_patch(options: FitOptions, listener: Listener) -> Accuracy:
    """Train a patch on a folder of images and write its folder, at the end and as a whole.

    The state of the training lies in a hidden folder `.OUT.partial` beside it, until the end: the same call after an
    interruption goes on from the last finished epoch.

    Raises:
        UserError, DeltaError: for bad options, images, weights or output folder.
        FrozenError: if the base did not stay as it was (never, by construction).
    """
    options.check()
    out = options.out.resolve()
    if not is_line(weights_name(options.weights)):
        raise UserError(f"--weights {options.weights!r} is a file whose name is no line of text; rename it.")
    check_photos(options.folder)
    check_output(out, options.folder.resolve(), force=options.force)
    if options.log_dir is not None:
        _check_apart(options.log_dir, options.folder.resolve(), out)
    device = torch.device(devices_of(options.device)[0])
    check_precision(options.precision, device.type)
    with _the_only_fit(out) as partial:
        check_output(out, options.folder.resolve(), force=options.force)  # another one may just have ended
        accuracy = _fit(replace(options, out=out), partial, device, listener)
        for left in partial.iterdir():  # checkpoints and features, of which the patch has come
            if left.is_dir():
                shutil.rmtree(left)
            elif left.name != LOCK:
                left.unlink()
    return accuracy


def _fit(options: FitOptions, partial: Path, device: torch.device, listener: Listener) -> Accuracy:
    choose_deterministic_kernels(device.type)
    # `default` is another net in another version of timm: the patch must name the weights themselves.
    weights = default_weights(options.arch) if options.weights == "default" else options.weights
    net = to_device(open_net(options.arch, weights), device)
    preprocessing = preprocessing_of(net, options.image_size)
    model = DeltaModel(net, architecture=options.arch, weights=weights_name(weights))
    photos = load_photos(options.folder, preprocessing, views=options.views, choosing=options.patience is not None)
    test, train_images = photos.task.named("test"), len(photos.parts["train"].places)
    listener.say(
        f"{len(photos.class_names)} classes, {train_images} images to train on. {photos.splits}{photos.examples} "
        f"Input: {preprocessing}."
    )
    with model.disable_patches():  # there is no patch yet: these are the logits of the net as it was opened
        base_before = predict(model, eval_batches(test.images, device))

    def trained(fixed: FitOptions, images: Photos) -> Trained:
        is_trial = images is not photos
        return train(model, images, fixed, weights=weights, partial=partial, listener=listener, is_trial=is_trial)

    modules: int | Literal["auto"] = options.modules
    trials: tuple[Trial, ...] = ()
    if modules == "auto":
        to_choose_on = photos.to_choose_on()
        modules, trials = choose_modules(
            lambda count: trained(trial_of(options, count), to_choose_on), blocks=len(model.blocks), say=listener.say
        )
    best = trained(replace(options, modules=modules), photos)
    model.patches[options.out.name] = best.patch
    model.set_patch(options.out.name)
    accuracy = training.evaluate(model, test)
    gates = usual_gates(model, split_in_epoch(photos.task.train, 0, best.spec.order_seed), device)
    with model.disable_patches():
        base_after = predict(model, eval_batches(test.images, device))
    if not torch.equal(base_before, base_after):
        raise FrozenError("The base net's logits changed during training; the patch was not saved.")
    spec, result = best.spec, best.result
    record = TrainingRecord(
        run_id=spec.run_id,
        data=spec.task,
        data_sha=spec.data,
        seen_sha=seen_identity(photos.seen),
        splits=photos.splits,
        train_images=train_images,
        val_images=best.accuracy.images,
        val_top1=best.accuracy.top1,
        test_images=accuracy.images,
        test_right=accuracy.right,
        by_class=tuple((each.name, each.right, each.images) for each in accuracy.by_class()),
        recipe=spec.recipe,
        patience=spec.patience,
        class_weights=spec.class_weights,
        trials=trials,
        epochs_run=len(result.history),
        kept_epoch=result.kept_epoch,
        history=result.history,
        seed=spec.seed,
        steps=result.steps,
        train_s=result.seconds,
        fingerprint_before=model.fingerprint,
        fingerprint_after=backbone_fingerprint(model.backbone),
        base_logits_equal=True,
        origin=provenance(device, options.precision),
    )
    write_fitted(model, accuracy, record, gates, photos.seen, options.out, say=listener.say)
    return accuracy


def check_output(out: Path, images: Path, *, force: bool) -> None:
    """Raise UserError unless `out` may become a patch folder.

    Args:
        out: absent, empty or an older patch, with a usable name; resolved.
        images: folder of images, outside of which it must lie; resolved.
        force: whether an older patch may be replaced.
    """
    check_patch_name(out.name)
    if images in out.parents:
        raise UserError(f"-o {str(out)!r} lies in the image folder, where it would be taken for a class; give another.")
    is_patch = (out / JSON_NAME).is_file()
    if out.is_mount():
        raise UserError(f"{str(out)!r} is a mount and cannot be exchanged as a whole; give -o a folder inside it.")
    if out.exists() and not is_patch and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{str(out)!r} exists and is not a patch folder; give -o the name of a new one.")
    if is_patch and not force:
        raise UserError(f"{str(out)!r} holds a patch already; give another -o, or --force to replace it.")
    existing = next(parent for parent in out.parents if parent.exists())
    if not existing.is_dir() or not all(os.access(path, os.W_OK) for path in (existing, out) if path.exists()):
        raise UserError(f"{str(out)!r} cannot be written into {str(existing)!r}; give another -o.")


def _check_apart(log_dir: Path, images: Path, out: Path) -> None:
    """Raise UserError unless logs lie outside the images, of which they would be a class, and of the patch folder."""
    resolved = log_dir.resolve()
    for folder, what in ((images, "the image folder"), (out, "the patch folder")):
        if folder in (resolved, *resolved.parents):
            raise UserError(f"--log-dir {str(log_dir)!r} lies in {what}; give a folder beside it.")


@contextmanager
def _the_only_fit(out: Path) -> Iterator[Path]:
    """Keep other fits to the same place away; gives the folder for what is unfinished.

    Raises:
        UserError: if there is one already, or nothing can be written there.
    """
    with ExitStack() as held:
        try:
            partial = held.enter_context(only_writer(out, wait=False))
        except BlockingIOError as error:
            raise UserError(
                f"Another fit is writing {str(out)!r} at this moment; wait for it, or give another -o."
            ) from error
        except OSError as error:
            raise UserError(
                f"{str(out)!r} cannot be written into {str(out.parent)!r} ({error.strerror}); give another -o."
            ) from error
        yield partial
