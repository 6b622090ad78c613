"""What a fit leaves: a patch folder with its record, the images it has seen, its usual gates, pictures and a card."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from delta_core import DeltaModel, save_patch
from delta_core.exchange import put_in_place, start_new
from delta_core.tool import confusion, curve
from delta_core.tool.card import write_card
from delta_core.tool.confusion import draw_confusion
from delta_core.tool.curve import draw_training
from delta_core.tool.record import TrainingRecord
from delta_core.tool.seen_images import SeenImage, write_seen
from delta_core.tool.share import BESIDE
from delta_core.tool.usual_gates import write_usual_gates
from delta_core.training.accuracy import Accuracy
from delta_core.training.errors import trouble_of_the_machine


def write_fitted(
    model: DeltaModel,
    accuracy: Accuracy,
    record: TrainingRecord,
    gates: pd.DataFrame,
    seen: Sequence[SeenImage],
    out: Path,
    *,
    say: Callable[[str], None],
) -> None:
    """Make the whole folder beside its place and exchange it; what else lies in an older one is kept.

    Only inside `delta_core.exchange.only_writer`. A picture that cannot be drawn is told of and left out: no training
    is lost to it.

    Args:
        model: with the patch active.
        accuracy: on the test images.
        record: how the patch came about.
        gates: of `usual_gates`.
        seen: every image file of the training.
        out: resolved.
        say: who is told.
    """
    new = start_new(out)
    save_patch(model, new, metrics={"test_top1": accuracy.top1, "val_top1": record.val_top1})
    record.write(new)
    write_seen(new, seen)
    write_usual_gates(new, gates)
    title = f"{out.name}: {accuracy.top1:.1f} % of {accuracy.images} images right"
    pictures = {
        confusion.NAME: lambda path: draw_confusion(accuracy.confusion, accuracy.class_names, path, title=title),
        curve.NAME: lambda path: draw_training(record.history, record.kept_epoch, path, title=title),
    }
    for name, draw in pictures.items():
        _draw(draw, new / name, say)
    write_card(new, record)
    put_in_place(out, gone=BESIDE)


def _draw(draw: Callable[[Path], None], path: Path, say: Callable[[str], None]) -> None:
    try:
        draw(path)
    except Exception as error:
        if trouble_of_the_machine(error):  # the patch could not be written either
            raise
        path.unlink(missing_ok=True)
        reason = " ".join(str(error).split())[:200]
        say(f"{path.name} could not be drawn ({type(error).__name__}: {reason}); the patch is whole without it.")
