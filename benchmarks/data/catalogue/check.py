"""Whether a data set on disk is the one that the catalogue declares; every fault is told by name.

Loading looks at everything but the single image files; `python -m benchmarks fetch --check` looks at those too.
"""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch

from benchmarks.data.catalogue.entry import DataSet, Examples
from benchmarks.data.catalogue.files import digest_of, is_web_page
from delta_core.training.errors import UserError

SAMPLE = 200
"""Images of a split that are decoded by a check, evenly spaced."""

DUPLICATES = 0.01
"""Share of images that may be in two splits: CIFAR and SVHN hold some twice."""


def open_splits(entry: DataSet, data_root: Path, splits: Iterable[str]) -> dict[str, Examples]:
    """Official splits, verified: checksums, counts, classes, range of labels, no split inside another.

    Raises:
        UserError: that names the first fault and the command that lists all of them.
    """
    faults = faults_on_disk(entry, entry.at(data_root))
    found: dict[str, Examples] = {}
    if not faults:
        found, faults = _read(entry, entry.at(data_root), splits)
    if faults:
        raise UserError(
            f"Data set {entry.name}: {faults[0]}. "
            f"Run: python -m benchmarks fetch {entry.name} --check --data-root {data_root}"
        )
    return found


def check(entry: DataSet, data_root: Path, *, sample: int = SAMPLE) -> list[str]:
    """All faults of a data set, as sentences without a full stop; empty if it is what the catalogue declares."""
    faults = faults_on_disk(entry, entry.at(data_root))
    if faults:
        return faults
    found, faults = _read(entry, entry.at(data_root), entry.counts)
    for split, examples in found.items():
        faults += _faults_of_images(entry.at(data_root), split, examples, sample)
    return faults


def is_there(entry: DataSet, data_root: Path) -> bool:
    """Whether the paths are there that a complete data set has; costs a few look-ups."""
    return all((entry.at(data_root) / path).exists() for path in entry.needs)


def faults_on_disk(entry: DataSet, folder: Path) -> list[str]:
    """What can be said without opening anything: missing, empty or foreign files, wrong checksums."""
    if not folder.is_dir():
        return [f"there is no folder {folder}"]
    missing = [path for path in entry.needs if not (folder / path).exists()]
    if missing:
        packed = [each.path for each in entry.downloads if each.unpack_to is not None and (folder / each.path).exists()]
        if packed:
            kind = "is a web page, not an archive" if is_web_page(folder / packed[0]) else "was not unpacked"
            return [f"{missing[0]} is missing, and {packed[0]} {kind}"]
        return [f"{path} is missing" for path in missing]
    return list(_faults_of_files(entry, folder))


def _faults_of_files(entry: DataSet, folder: Path) -> Iterator[str]:
    for path in dict.fromkeys((*entry.needs, *entry.checksums)):
        file = folder / path
        if file.is_dir():
            continue
        if not file.is_file():
            yield f"{path} is missing"
        elif not file.stat().st_size:
            yield f"{path} is empty"
        elif is_web_page(file):
            yield f"{path} is a web page, not data: the link that gave it is dead"
        elif path in entry.checksums and (found := digest_of(file, "md5")) != entry.checksums[path]:
            yield f"{path} has the MD5 {found}, expected {entry.checksums[path]}"


def _read(entry: DataSet, folder: Path, splits: Iterable[str]) -> tuple[dict[str, Examples], list[str]]:
    found: dict[str, Examples] = {}
    faults: list[str] = []
    for split in splits:
        try:
            found[split] = entry.read(folder, split)
        except Exception as error:  # noqa: BLE001 - whatever another library's reader raises at damaged data
            faults.append(f"split {split} cannot be read ({type(error).__name__}: {error})".replace("\n", " "))
            continue
        faults += _faults_of_split(entry, split, found[split])
    return found, [*faults, *_faults_between(found)]


def _faults_of_split(entry: DataSet, split: str, examples: Examples) -> Iterator[str]:
    expected = entry.counts[split]
    if len(examples) != expected:
        yield f"split {split} has {len(examples)} images, expected {expected}"
    names = examples.class_names
    if len(names) != entry.classes:
        yield f"split {split} has {len(names)} classes, expected {entry.classes}"
    if not len(examples) or examples.classes_in is not None:
        return
    low, high = int(examples.labels.min()), int(examples.labels.max())
    if low < 0 or high >= entry.classes:
        off = ", off by one" if (low, high) in {(1, entry.classes), (-1, entry.classes - 2)} else ""
        yield f"labels of {split} span {low}..{high}, expected 0..{entry.classes - 1}{off}"
        return
    if entry.look_alike:
        return
    without = sorted(set(range(len(names))) - set(examples.labels.tolist()))
    if without:
        yield f"split {split} has no image of {len(without)} classes, first {names[without[0]]!r}"


def _faults_between(found: dict[str, Examples]) -> Iterator[str]:
    splits = list(found)
    for number, one in enumerate(splits):
        for other in splits[number + 1 :]:
            both = len(set(found[one].names) & set(found[other].names))
            if both > DUPLICATES * min(len(found[one]), len(found[other])):
                yield f"{both} images are in {one} and in {other}: one of the split lists is wrong"


def _faults_of_images(folder: Path, split: str, examples: Examples, sample: int) -> Iterator[str]:
    listed = {"images": examples.names if examples.in_files else (), "annotations": examples.annotations}
    for kind, names in listed.items():
        files = [folder / name for name in names]
        missing = [file for file in files if not file.is_file()]
        if missing:
            yield f"{len(missing)} {kind} of {split} are missing, first {_where(missing[0], folder)}"
            return
        empty = [file for file in files if not file.stat().st_size]
        if empty:
            yield f"{len(empty)} {kind} of {split} are empty, first {empty[0].relative_to(folder)}"
    for index in np.linspace(0, len(examples) - 1, min(sample, len(examples))).astype(int).tolist():
        try:
            examples.images[index]
            if examples.classes_in is not None:
                foreign = examples.classes_in(index) - set(range(len(examples.class_names)))
                if foreign:
                    yield f"{examples.names[index]} is annotated with class {min(foreign)}, which is none"
        except Exception as error:  # noqa: BLE001 - whatever another library's reader raises at damaged data
            yield f"image {examples.names[index]} of {split} cannot be read ({type(error).__name__}: {error})"
            return


def _where(missing: Path, folder: Path) -> str:
    """Path below the folder; says so where an archive was unpacked into a folder of its own name."""
    path = missing.relative_to(folder).as_posix()
    nested = missing.parent / missing.parent.name / missing.name
    return f"{path} (it lies in {nested.relative_to(folder).as_posix()})" if nested.is_file() else path


def data_sha(entry: DataSet, data_root: Path, parts: dict[str, tuple[Examples, torch.Tensor]]) -> str:
    """Twelve hexadecimal digits over class names and every image's name, size and label, part by part."""
    digest = hashlib.sha256()
    for part, (examples, indices) in parts.items():
        digest.update(json_line(part, *examples.class_names))
        for index in indices.tolist():
            name = examples.names[index]
            size = (entry.at(data_root) / name).stat().st_size if examples.in_files else 0
            digest.update(json_line(name, size, int(examples.labels[index])))
    return digest.hexdigest()[:12]


def json_line(*values: str | int) -> bytes:
    """One unambiguous line of values."""
    return ("\t".join(map(repr, values)) + "\n").encode()


DATA_ROOT = Path("data")
"""Where official data sets lie if nothing is said."""


def what_is_missing(entries: Iterable[DataSet], data_root: Path) -> dict[str, str]:
    """Data sets that are not below the data root -> their name and the command that fetches them."""
    return {
        entry.name: f"{entry.name}, run: python -m benchmarks fetch {entry.name} --data-root {data_root}"
        for entry in entries
        if not is_there(entry, data_root)
    }
