"""Tiny look-alikes of every data set of the catalogue, so that tests run the real readers."""

import io
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

from benchmarks.data.catalogue import CATALOGUE
from benchmarks.data.catalogue.entry import DataSet
from benchmarks.data.catalogue.files import digest_of
from benchmarks.rehearsal.formats import WRITERS, Plan

FRAMES = 3
"""Frames of a GTSRB track here."""
FIXED_CLASSES = {
    "flowers": 102, "stl10": 10, "svhn": 10, "mnist": 10, "usps": 10, "voc2007": 20, "voc2012": 20, "voc2012_seg": 21,
    "sbd": 21,
}  # fmt: skip


def small(name: str) -> DataSet:
    """The entry of that name with counts of a look-alike; checksums are those of what `write` wrote."""
    entry = CATALOGUE[name]
    classes = FIXED_CLASSES.get(name, 4)
    first, other = (2, 1) if name in FIXED_CLASSES else (3 * FRAMES, 2 * FRAMES)
    sizes = {split: classes * (other if place else first) for place, split in enumerate(entry.counts)}
    return replace(entry, classes=classes, counts=sizes, checksums={})


def write(name: str, data_root: Path, **changes: object) -> DataSet:
    """Write a look-alike below `data_root`; `changes` to its plan make it differ from the entry that is returned."""
    entry = small(name)
    size = (60, 40) if name == "aircraft" else (16, 20)  # its banner is cut off
    plan = Plan(classes=entry.classes, shown=entry.classes, counts=entry.counts, image_size=size, frames=FRAMES)
    plan = replace(plan, **changes)  # type: ignore[arg-type]
    if "classes" in changes:
        plan = replace(plan, shown=plan.classes)
    WRITERS[name](entry.at(data_root), plan)
    checksums = {path: digest_of(entry.at(data_root) / path, "md5") for path in CATALOGUE[name].checksums}
    return replace(entry, checksums=checksums)


def packed(folder: Path, kind: str) -> bytes:
    """All of a folder as an archive."""
    stream = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(stream, "w") as archive:
            for path in folder.rglob("*"):
                archive.write(path, path.relative_to(folder))
    else:
        with tarfile.open(fileobj=stream, mode="w:gz") as archive:
            for path in folder.iterdir():
                archive.add(path, path.name)
    return stream.getvalue()
