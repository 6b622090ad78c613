"""`delta-patch predict`: images in, classes and probabilities out, for one patch or many in one pass."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import torch
from PIL import Image

from delta_core import DeltaModel
from delta_core.patch import Patch
from delta_core.training.data.image_files import is_left_out, is_read, paths_below, read_image
from delta_core.training.data.splits import channels_last
from delta_core.training.errors import UserError, check_counts
from delta_core.training.evaluation import names_of
from delta_core.weights import Preprocessing, preprocessing_of

BATCH_SIZE = 32
MOST_BATCH_PIXELS = BATCH_SIZE * 512**2
"""What a batch may hold: a ResNet-50 takes 1.8 GB for so many."""

MOST_PIXELS = 2 * (Image.MAX_IMAGE_PIXELS or 0)
"""Width times height above which Pillow itself opens no image: a few bytes may hold as many."""

STDIN = Path("-")
"""Stands for a list of images, one path a line."""


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What one patch says of one image, most probable class first."""

    image: str
    patch: str
    classes: tuple[tuple[str, float], ...]
    """(class name, probability from 0 to 1)."""


@dataclass(frozen=True, kw_only=True)
class Unread:
    """An image of which nothing is said."""

    image: str
    reason: str
    """One sentence that names it."""


def find_images(given: Sequence[Path], stdin: TextIO) -> list[Path]:
    """Image files by themselves, in folders and below, and listed one a line on stdin for `-`; each once.

    Raises:
        UserError: if there is none, or a folder holds none.
    """
    found: list[Path] = []
    for path in given:
        if path == STDIN:
            found += [Path(line.rstrip("\r\n")) for line in stdin if line.strip()]
        elif path.is_dir():
            inside = sorted(each for each in paths_below(path) if is_read(each) or is_left_out(each))
            if not inside:
                raise UserError(f"{str(path)!r} holds no images; name images, or a folder with some in it or below.")
            found += inside
        else:
            found.append(path)
    if not found:
        raise UserError("There is no image to look at; name images or a folder after the patch, or - to list them.")
    return list(dict.fromkeys(found))


def predict_images(
    model: DeltaModel,
    images: Sequence[Path],
    *,
    topk: int,
    batch_size: int = BATCH_SIZE,
    max_pixels: int = MOST_PIXELS,
) -> Iterator[tuple[Prediction, ...] | Unread]:
    """For each image what each patch of a model says of it, at most `topk` classes, as they come.

    Patches that see images alike share one pass through the net.

    Raises:
        UserError: at once, if a number cannot be used.
    """
    if topk < 1:
        raise UserError(f"--topk is {topk}; give a whole number of at least 1.")
    check_counts(batch_size=batch_size, max_pixels=max_pixels)
    if max_pixels > MOST_PIXELS:
        raise UserError(f"--max-pixels is {max_pixels:,}; no image of more than {MOST_PIXELS:,} is opened.")
    views: dict[Preprocessing, list[str]] = {}
    for name, patch in _patches(model):
        views.setdefault(patch.preprocessing or preprocessing_of(model.backbone), []).append(name)
    largest = max(view.image_size for view in views)
    batch_size = min(batch_size, max(1, MOST_BATCH_PIXELS // largest**2))
    return (
        found
        for start in range(0, len(images), batch_size)
        for found in _predict_batch(model, images[start : start + batch_size], views, topk, max_pixels)
    )


def check_shape(path: Path, image: Image.Image, view: Preprocessing) -> None:
    """Raise UserError for an image so long and thin that it becomes too large when its short side is resized."""
    pixels = image.width * image.height * (view.resized_side / min(image.size)) ** 2
    if pixels > MOST_PIXELS:
        raise UserError(
            f"Image {str(path)!r} is refused: {image.width} x {image.height} pixels become {pixels:,.0f} where the "
            f"short side is resized to {view.resized_side}; cut it."
        )


@torch.no_grad()
def _predict_batch(
    model: DeltaModel, images: Sequence[Path], views: dict[Preprocessing, list[str]], topk: int, max_pixels: int
) -> Iterator[tuple[Prediction, ...] | Unread]:
    device = next(model.backbone.parameters()).device
    unread: dict[Path, str] = {}
    seen: dict[Preprocessing, list[torch.Tensor]] = {view: [] for view in views}
    for path in images:
        try:
            image = read_image(path, max_pixels=max_pixels)
            for view in views:
                check_shape(path, image, view)
        except UserError as error:
            unread[path] = str(error)
            continue
        for view, pixels in seen.items():
            pixels.append(view.resize_and_crop()(image))
    read = [path for path in images if path not in unread]
    found: dict[tuple[Path, str], Prediction] = {}
    for view, names in views.items():
        if not read:
            break
        logits = model.forward_patches(channels_last(view.normalise(torch.stack(seen[view]).to(device))), names)
        for name, patch in _patches(model):
            if name in logits:
                found |= _ranked(name, patch, read, logits[name], topk)
    for path in images:
        if path in unread:
            yield Unread(image=str(path), reason=unread[path])
        else:
            yield tuple(found[path, name] for name in model.patches)


def _ranked(
    name: str, patch: Patch, images: Sequence[Path], logits: torch.Tensor, topk: int
) -> dict[tuple[Path, str], Prediction]:
    """What one patch says of the images of a batch, from its logits (B, N)."""
    class_names = names_of(patch)
    best = logits.float().softmax(1).topk(min(topk, patch.num_classes))
    return {
        (image, name): Prediction(
            image=str(image),
            patch=name,
            classes=tuple((class_names[i], value) for i, value in zip(indices, values, strict=True)),
        )
        for image, values, indices in zip(images, best.values.tolist(), best.indices.tolist(), strict=True)
    }


def _patches(model: DeltaModel) -> Iterator[tuple[str, Patch]]:
    for name, patch in model.patches.items():
        assert isinstance(patch, Patch)
        yield name, patch
