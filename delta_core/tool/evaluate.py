"""`delta-patch eval`: a patch on a folder of images, and the net below it against itself without the patch."""

from dataclasses import dataclass
from pathlib import Path

import torch

from delta_core.patch import Patch
from delta_core.tool.base import open_files, put_on
from delta_core.tool.data import load_evaluation
from delta_core.tool.record import read_identity
from delta_core.tool.seen_images import read_seen
from delta_core.training.accuracy import Accuracy, accuracy_of
from delta_core.training.data.splits import eval_batches
from delta_core.training.engine import predict
from delta_core.training.evaluation import names_of
from delta_core.training.fabric import devices_of, to_device
from delta_core.weights import preprocessing_of


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What was measured."""

    accuracy: Accuracy
    which: str
    """The images, in a few words."""
    notes: tuple[str, ...]
    """Sentences: what is left out of them, and what is not known."""
    fingerprint: str
    base_logits_equal: bool
    """Whether the net answers these images, with the patch loaded and off, bit for bit as it does without."""


def evaluate_patch(
    patch: Path, folder: Path, *, architecture: str | None, weights: str | None, device: str
) -> Evaluation:
    """Measure a patch folder on a folder of images.

    Raises:
        UserError, DeltaError: for folders, images or weights that do not fit together.
    """
    on = torch.device(devices_of(device)[0])
    net, architecture, weights = open_files([patch], architecture, weights)
    net = to_device(net, on)
    view = preprocessing_of(net)
    model = put_on(net, [patch], architecture=architecture, weights=weights)
    loaded = model.patches[str(model.active_patch)]
    assert isinstance(loaded, Patch)
    names = names_of(loaded)
    identity = read_identity(patch)
    seen = read_seen(patch, recorded=identity.seen_sha)
    measured = load_evaluation(folder, names, loaded.preprocessing or view, seen=seen, trained_on=identity.data_sha)
    split = measured.split
    accuracy = accuracy_of(predict(model, eval_batches(split, on)), split.labels, names)
    with model.disable_patches():
        with_patch = predict(model, eval_batches(split, on))
    model.assert_frozen()
    alone = predict(to_device(open_files([patch], architecture, weights)[0], on), eval_batches(split, on))
    return Evaluation(
        accuracy=accuracy,
        which=measured.which,
        notes=measured.notes,
        fingerprint=model.fingerprint,
        base_logits_equal=torch.equal(with_patch, alone),
    )
