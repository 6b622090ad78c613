"""Measure the active patch of a model."""

from delta_core import DeltaModel
from delta_core.patch import Patch
from delta_core.training.accuracy import Accuracy, accuracy_of
from delta_core.training.data.labelled import Data, DataReader
from delta_core.training.data.splits import eval_batches
from delta_core.training.engine import predict
from delta_core.training.errors import UserError, check_workers
from delta_core.training.fabric import torch_state_kept
from delta_core.weights import preprocessing_of


def evaluate(model: DeltaModel, data: Data, *, workers: int = 0) -> Accuracy:
    """Accuracy of the active patch of a model, on the device where the model is, in float32.

    Args:
        model: with a patch that is active and has a head; its mode is left as it was.
        data: as for `fit`; of a folder with splits the images of test/ are measured, else those of val/. The class
            folders may be fewer than the classes that the patch knows by name.
        workers: processes that decode images.

    Raises:
        UserError: for data that do not fit the patch, or an image that cannot be read.
        DeltaError: if no patch is active, or neither it nor the net says how images become inputs.
    """
    device = next(model.backbone.parameters()).device
    with torch_state_kept():
        split = data_reader(model, workers=workers).open(data, "test").images
        logits = predict(model, eval_batches(split, device))
    return accuracy_of(logits, split.labels, names_of(model.patch()))


def data_reader(model: DeltaModel, *, workers: int, by_content: bool = False) -> DataReader:
    """Opens data for the head of the active patch. Raises UserError if it has none, or below 0 workers."""
    check_workers(workers)
    patch = model.patch()
    if not patch.num_classes:
        raise UserError(f"Patch {model.active_patch!r} has no head; add it with num_classes, the number of classes.")
    return DataReader(
        classes=patch.num_classes,
        class_names=patch.class_names,
        preprocessing=patch.preprocessing or preprocessing_of(model.backbone),
        workers=workers,
        by_content=by_content,
    )


def names_of(patch: Patch) -> tuple[str, ...]:
    """Names of the classes of a patch; their numbers where it carries no names."""
    return patch.class_names or tuple(f"class {index}" for index in range(patch.num_classes))
