"""Gates that a patch usually gives: mean and spread over images that it was trained on, `gates.csv` in its folder."""

import io
from pathlib import Path

import pandas as pd
import torch

from delta_core import DeltaModel
from delta_core.patch_io import read_beside
from delta_core.training.data.splits import EVAL_BATCH, Split, batch_size_for
from delta_core.training.gate_values import gates_of, skip_gates

NAME = "gates.csv"
COLUMNS = ("block", "source", "target", "mean", "sd", "images")
AT_MOST = 200
"""Images: a mean is then known to within a fourteenth of the spread."""


def usual_gates(model: DeltaModel, train: Split, device: torch.device) -> pd.DataFrame:
    """`COLUMNS` of every skip that the active patch gates, over at most `AT_MOST` images, taken evenly; empty for none.

    Args:
        model: in eval mode, on the device.
        train: images that the patch was trained on.
        device: where they are answered.
    """
    if model.patch().config is None:
        return pd.DataFrame(columns=COLUMNS)
    count = min(AT_MOST, len(train.labels))
    order = torch.linspace(0, len(train.labels) - 1, count).long()
    size = batch_size_for(train.preprocessing.image_size, device, at_most=EVAL_BATCH)
    seen = gates_of(model, model, train.batches(size, device=device, order=order))
    lines = [
        (gate.block, gate.source, gate.target, gate.value, gate.sd, count)
        for number, block in enumerate(model.blocks, start=1)
        if block.name in seen
        for gate in skip_gates(number, block.wiring, seen[block.name])
    ]
    return pd.DataFrame(lines, columns=COLUMNS)


def write_usual_gates(folder: Path, gates: pd.DataFrame) -> None:
    """Write `gates.csv` into a folder; a head alone has none."""
    if len(gates):
        gates.to_csv(folder / NAME, index=False, lineterminator="\n", float_format="%.6g")


def read_usual_gates(folder: Path) -> pd.DataFrame | None:
    """What `write_usual_gates` wrote; None where an earlier version made the patch, or it is no such table.

    Raises:
        DeltaError: if it is a link, a pipe or too long.
    """
    data = read_beside(folder / NAME)
    if data is None:
        return None
    try:
        found = pd.read_csv(io.BytesIO(data))
    except ValueError:
        return None
    is_whole = tuple(found.columns) == COLUMNS and bool(found.dtypes.map(pd.api.types.is_numeric_dtype).all())
    if not is_whole or found.isna().any(axis=None) or found.duplicated(["block", "source", "target"]).any():
        return None
    return found
