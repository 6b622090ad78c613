"""`delta-patch predict`: images in, classes and probabilities out, for one patch or many in one pass."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from delta_core import DeltaModel
from delta_core.patch import Patch
from delta_core.training.data.image_files import read_image
from delta_core.training.data.splits import channels_last
from delta_core.training.errors import UserError
from delta_core.training.evaluation import names_of
from delta_core.weights import Preprocessing, preprocessing_of

BATCH_SIZE = 32


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What one patch says of one image, most probable class first."""

    image: str
    patch: str
    classes: tuple[tuple[str, float], ...]
    """(class name, probability from 0 to 1)."""


def predict_images(model: DeltaModel, images: Sequence[Path], *, topk: int) -> list[Prediction]:
    """The `topk` most probable classes of each image by each patch of a model, image by image.

    Patches that see images alike share one pass through the net.

    Raises:
        UserError: if `topk` is below 1 or an image cannot be read.
    """
    if topk < 1:
        raise UserError(f"--topk is {topk}; give a whole number of at least 1.")
    folder = next((path for path in images if path.is_dir()), None)
    if folder is not None:
        raise UserError(f"{str(folder)!r} is a folder; name the images in it, e.g. {folder}/*.jpg.")
    views: dict[Preprocessing, list[str]] = {}
    for name, patch in _patches(model):
        views.setdefault(patch.preprocessing or preprocessing_of(model.backbone), []).append(name)
    found = {
        (prediction.image, prediction.patch): prediction
        for view, names in views.items()
        for start in range(0, len(images), BATCH_SIZE)
        for prediction in _predict_batch(model, images[start : start + BATCH_SIZE], view, names, topk)
    }
    return [found[str(image), name] for image in dict.fromkeys(images) for name in model.patches]


@torch.no_grad()
def _predict_batch(
    model: DeltaModel, images: Sequence[Path], view: Preprocessing, names: Sequence[str], topk: int
) -> Iterator[Prediction]:
    device = next(model.backbone.parameters()).device
    transform = view.resize_and_crop()
    pixels = torch.stack([transform(read_image(path)) for path in images]).to(device)
    logits = model.forward_patches(channels_last(view.normalise(pixels)), names)
    for name, patch in _patches(model):
        if name in logits:
            class_names = names_of(patch)
            best = logits[name].float().softmax(1).topk(min(topk, patch.num_classes))
            for image, values, indices in zip(images, best.values.tolist(), best.indices.tolist(), strict=True):
                classes = tuple((class_names[i], value) for i, value in zip(indices, values, strict=True))
                yield Prediction(image=str(image), patch=name, classes=classes)


def _patches(model: DeltaModel) -> Iterator[tuple[str, Patch]]:
    for name, patch in model.patches.items():
        assert isinstance(patch, Patch)
        yield name, patch
