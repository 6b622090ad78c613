"""Folders that hold look-alikes, made by a rehearsal: data sets of a few images in their true formats, random weights.

A file in the folder says so, and how many images there are of each data set. Whoever reads the folder takes the
catalogue's entry with those numbers; its identity is marked, and with it every row of every run.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.data.catalogue.entry import DataSet
from delta_core.training.errors import UserError
from delta_core.training.whole_files import whole_text

MARKER = "LOOK_ALIKES.json"
"""Stands in a folder of look-alikes, data or weights."""


def declared_at(entry: DataSet, data_root: Path) -> DataSet:
    """What is to be found of a data set below a root: what the catalogue says, or look-alikes of it."""
    if not is_marked(data_root):
        return entry
    own = _said(data_root / MARKER).get(entry.name)
    if own is None:
        return replace(entry, look_alike=True)
    held_out = None if own["held_out"] is None else tuple(own["held_out"])
    return replace(
        entry, classes=own["classes"], counts=own["counts"], held_out=held_out, checksums={}, look_alike=True
    )


def mark(folder: Path) -> None:
    """Say of a folder, before anything lies in it, that it holds look-alikes.

    Raises:
        UserError: if it holds something else.
    """
    if is_marked(folder):
        return
    if folder.exists() and any(folder.iterdir()):
        raise UserError(f"{str(folder)!r} holds files that are no look-alikes; choose another folder for a rehearsal.")
    with whole_text(folder / MARKER) as stream:
        stream.write("{}")


def declare(data_root: Path, entry: DataSet) -> None:
    """Say in the marker what lies below the root of a look-alike."""
    content = {"classes": entry.classes, "counts": entry.counts, "held_out": entry.held_out}
    _say(data_root / MARKER, entry.name, content)


def declare_weights(weights_root: Path, weights: str, *, top1: float) -> None:
    """Say in the marker of a folder of weights that some of them are random, and what they reach on the base task."""
    _say(weights_root / MARKER, weights, {"top1": top1})


def declared_top1(weights_root: Path | None, weights: str) -> float | None:
    """What random weights reach on the base task, in per cent; None for weights that are not declared random."""
    said = _said(weights_root / MARKER) if weights_root is not None else {}
    return said[weights]["top1"] if weights in said else None


def _said(marker: Path) -> dict[str, Any]:
    return json.loads(marker.read_text(encoding="utf-8")) if marker.is_file() else {}


def _say(marker: Path, name: str, content: dict[str, Any]) -> None:
    said = _said(marker) | {name: content}
    with whole_text(marker) as stream:
        json.dump(said, stream, indent=1)


def is_marked(folder: Path | None) -> bool:
    """Whether a folder holds look-alikes."""
    return folder is not None and (folder / MARKER).is_file()


def check_weights(weights_root: Path | None, data_root: Path) -> None:
    """Refuse random weights on data that are none of a rehearsal.

    Raises:
        UserError: naming the folder of weights.
    """
    if is_marked(weights_root) and not is_marked(data_root):
        raise UserError(
            f"--weights-root {weights_root} holds random weights of a rehearsal, and {data_root} holds no look-alikes; "
            "give the folder that `fetch weights` filled."
        )
