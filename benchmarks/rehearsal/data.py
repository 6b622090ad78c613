"""Look-alikes of the whole catalogue below one folder: true formats and image sizes, a handful of images each."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from benchmarks.data.catalogue import CATALOGUE
from benchmarks.data.catalogue.check import is_there
from benchmarks.data.catalogue.entry import DataSet
from benchmarks.data.catalogue.look_alikes import declare, declared_at, mark
from benchmarks.rehearsal.formats import WRITERS, Plan, with_sbd_masks

SHOWN = 2
"""Classes of a data set that have images."""
NAMED_BY_FOLDERS = ("gtsrb", "dtd", "resisc45", "imagenet")
"""Data sets whose classes are what has images."""
OF_RATES = ("aircraft", "cars")
"""Data sets of Table 5, some of whose methods need images of every class."""
TRAIN_OF_RATES = 20
"""Images that Table 5 draws its rates from: two of each class at 15 %."""
TRAIN, OTHER = 5, 2
"""Images of a training split, one of them held out where there is no validation split, and of another."""
DENSE = 1
"""Images of each split for detection or segmentation: a step on one takes seconds."""


def look_alike(entry: DataSet) -> DataSet:
    """What a look-alike of a data set declares."""
    train = TRAIN
    if entry.folder == "imagenet":  # on which every run measures its base, at the size of the weights
        train = OTHER + (entry.train != entry.test)
    elif entry.name in OF_RATES:
        train = TRAIN_OF_RATES - (OTHER if entry.val else 0)
    elif entry.held_by == "track":
        train = 2 * SHOWN  # two tracks of one frame for each class
    counts = {split: train if split == entry.train else OTHER for split in entry.counts}
    if entry.metric != "top1":
        counts = dict.fromkeys(counts, DENSE)
    held_out = (train - 1,) if entry.val is None and entry.held_by == "list" else None
    classes = SHOWN if entry.folder in (*NAMED_BY_FOLDERS, *OF_RATES) else entry.classes
    return replace(entry, classes=classes, counts=counts, held_out=held_out, checksums={}, look_alike=True)


def make_data(data_root: Path, report: Callable[[str], None], entries: Iterable[DataSet] | None = None) -> None:
    """Write what is missing below a root of look-alikes; `report` hears the name of each data set.

    Raises:
        UserError: if the root holds something else.
    """
    mark(data_root)
    for entry in entries or CATALOGUE.values():
        wanted = look_alike(entry)
        if is_there(entry, data_root) and declared_at(entry, data_root).identity == wanted.identity:
            continue
        plan = Plan(classes=wanted.classes, shown=SHOWN, counts=wanted.counts)
        WRITERS[entry.name](wanted.at(data_root), plan)
        if entry.name == "voc2012_seg":
            with_sbd_masks(wanted.at(data_root), plan)
        declare(data_root, wanted)
        report(entry.name)
