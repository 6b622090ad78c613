"""What a training leaves, without a training."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from tiny import PREPROCESSING, basic_block_net
from training_record import RECORD

from delta_core import DeltaModel
from delta_core.tool.record import TrainingRecord
from delta_core.tool.seen_images import SeenImage, seen_identity
from delta_core.tool.usual_gates import COLUMNS
from delta_core.training.accuracy import Accuracy


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """What `write_fitted` takes."""

    model: DeltaModel
    accuracy: Accuracy
    record: TrainingRecord
    gates: pd.DataFrame
    seen: tuple[SeenImage, ...]


def fitted(class_names: Sequence[str], *, name: str = "kept", **recorded: Any) -> Fitted:
    """A head on a tiny net, as if it had been trained on classes of these names."""
    model = DeltaModel(basic_block_net(), architecture="tiny", weights="drawn")
    with torch.random.fork_rng():
        torch.manual_seed(len(class_names))
        model.add_patch(name, num_classes=len(class_names), class_names=class_names, preprocessing=PREPROCESSING)
    seen = tuple(
        SeenImage(part=part, content=f"{number:016}", file=f"{each}/{number}.png")
        for number, each in enumerate(class_names)
        for part in ("train", "test")
    )
    told = {
        "by_class": tuple((each, 1, 2) for each in class_names),
        "seen_sha": seen_identity(seen),
        "splits": f"Never measured, because their one image is trained on: 1 of 2 classes ({class_names[0]}).",
    }
    return Fitted(
        model=model.eval(),
        accuracy=Accuracy(class_names=tuple(class_names), confusion=torch.eye(len(class_names), dtype=torch.long)),
        record=TrainingRecord(**vars(RECORD) | told | recorded),
        gates=pd.DataFrame(columns=COLUMNS),
        seen=seen,
    )


def everything_in(folder: Path) -> dict[str, bytes]:
    """Content of every file in and below a folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
