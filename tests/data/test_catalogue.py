"""Data sets of the catalogue on look-alikes in their true layout: good ones pass, each kind of damage is named."""

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from lookalikes import small, write

from benchmarks.data.catalogue import CATALOGUE
from benchmarks.data.catalogue.check import check, is_there, open_splits
from benchmarks.data.catalogue.entry import DataSet
from benchmarks.rehearsal.formats import WRITERS

ONE_OF_NINE = "decathlon_ucf101"
"""All nine have one reader and one layout."""
NAMES = tuple(name for name in CATALOGUE if name == ONE_OF_NINE or not name.startswith("decathlon_"))
DENSE = ("voc2007", "voc2012", "voc2012_seg", "sbd")
ARRAYS = ("stl10", "svhn", "cifar10", "cifar100", "mnist", "usps")
IN_FILES = tuple(name for name in NAMES if name not in ARRAYS)


def test_every_data_set_has_a_look_alike_and_says_what_it_is() -> None:
    assert set(WRITERS) == set(CATALOGUE)
    for entry in CATALOGUE.values():
        assert entry.downloads or entry.recipe, f"{entry.name}: no way to get it"
        assert entry.licence
        assert entry.title
        for each in entry.downloads:
            assert each.digest, f"{each.path}: any bytes would do"


@pytest.mark.parametrize("name", CATALOGUE)
def test_a_good_look_alike_passes(name: str, tmp_path: Path) -> None:
    entry = write(name, tmp_path)
    assert is_there(entry, tmp_path)
    assert check(entry, tmp_path) == []
    found = open_splits(entry, tmp_path, entry.counts)
    for split, examples in found.items():
        image = examples.images[0][0]
        channels = len(image.getbands()) if hasattr(image, "getbands") else image.shape[2]
        assert (len(examples), len(examples.images), channels) == (entry.counts[split],) * 2 + (3,)  # type: ignore[arg-type]


def test_an_empty_image_is_found_where_no_sample_is_taken(tmp_path: Path) -> None:
    entry = write("cars", tmp_path)
    (tmp_path / "cars/stanford_cars/cars_train/00007.jpg").write_bytes(b"")
    assert check(entry, tmp_path, sample=2) == ["1 images of train are empty, first stanford_cars/cars_train/00007.jpg"]


# --- damage ------------------------------------------------------------------------------------------------------

Inflict = Callable[[str, Path], DataSet]
"""Name of a data set and data root -> the entry that the damaged data are compared with."""


def a_file(entry: DataSet) -> str:
    """A file of labels, lists or arrays, without which nothing can be read."""
    lists = {
        "aircraft": "fgvc-aircraft-2013b/data/variants.txt",
        "gtsrb": "gtsrb/GT-final_test.csv",
        "dtd": "dtd/dtd/labels/train1.txt",
        "resisc45": "resisc45-train.txt",
        "cifar10": "cifar-10-batches-py/data_batch_3",
        "cifar100": "cifar-100-python/train",
        "stl10": "stl10_binary/train_X.bin",
        "flowers": "flowers-102/setid.mat",
        "voc2012_seg": entry.needs[0],
        "sbd": entry.needs[-1],
        "imagenet": "train/n00000000/00000000.JPEG",
        "imagenet_val": "val/n00000000/00000000.JPEG",
    }
    return lists.get(entry.name, entry.needs[0])


def an_image(entry: DataSet, data_root: Path) -> Path:
    """A file that holds an image of `train`."""
    examples = entry.read(entry.at(data_root), entry.train)
    return entry.at(data_root) / examples.names[0]


def absent(name: str, root: Path) -> DataSet:
    entry = write(name, root)
    shutil.rmtree(entry.at(root))
    return entry


def missing_file(name: str, root: Path) -> DataSet:
    entry = write(name, root)
    (entry.at(root) / a_file(entry)).unlink()
    return entry


def missing_image(name: str, root: Path) -> DataSet:
    entry = write(name, root)
    an_image(entry, root).unlink()
    return entry


def missing_annotation(name: str, root: Path) -> DataSet:
    entry = write(name, root)
    examples = entry.read(entry.at(root), entry.train)
    (entry.at(root) / examples.annotations[1]).unlink()
    return entry


def extra_class(name: str, root: Path) -> DataSet:
    write(name, root, classes=small(name).classes + 1)
    return small(name)


def missing_class(name: str, root: Path) -> DataSet:
    write(name, root, classes=small(name).classes - 1)
    return small(name)


def off_by_one(name: str, root: Path) -> DataSet:
    write(name, root, shift=1)
    return small(name)


def truncated_image(name: str, root: Path) -> DataSet:
    entry = write(name, root)
    path = an_image(entry, root) if name in IN_FILES else entry.at(root) / a_file(entry)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return replace(entry, checksums={})


def wrong_count(name: str, root: Path) -> DataSet:
    entry = small(name)
    write(name, root, counts=entry.counts | {entry.train: entry.counts[entry.train] - entry.classes})
    return entry


def wrong_split_list(name: str, root: Path) -> DataSet:
    write(name, root, overlap=True)
    return small(name)


def web_page(name: str, root: Path) -> DataSet:
    entry = write(name, root)
    text = "<!DOCTYPE html><html><body>404</body></html>"
    if entry.downloads and entry.downloads[0].unpack_to is not None:
        shutil.rmtree(entry.at(root))
        (entry.at(root) / entry.downloads[0].path).parent.mkdir(parents=True)
        (entry.at(root) / entry.downloads[0].path).write_text(text)
    else:
        (entry.at(root) / a_file(entry)).write_text(text)
    return entry


def empty_file(name: str, root: Path) -> DataSet:
    entry = write(name, root)
    (entry.at(root) / a_file(entry)).write_bytes(b"")
    return entry


def wrong_checksum(name: str, root: Path) -> DataSet:
    entry = write(name, root)
    path = entry.at(root) / next(iter(entry.checksums))
    path.write_bytes(path.read_bytes() + b" ")
    return entry


def not_unpacked(name: str, root: Path) -> DataSet:
    entry = write(name, root)
    shutil.rmtree(entry.at(root))
    archive = entry.at(root) / entry.downloads[0].path
    archive.parent.mkdir(parents=True)
    archive.write_bytes(b"PK\3\4")
    return entry


def nested_folder(name: str, root: Path) -> DataSet:
    entry = write(name, root)
    folder = an_image(entry, root).parent
    inner = folder.rename(folder.with_name("inner"))
    folder.mkdir()
    inner.rename(folder / folder.name)
    return entry


@dataclass(frozen=True)
class Damage:
    inflict: Inflict
    message: str
    """What one of the faults must say."""
    names: tuple[str, ...] = NAMES


def of_all_but(*names: str) -> tuple[str, ...]:
    return tuple(name for name in NAMES if name not in names)


FOREIGN_CLASS = r"classes, expected \d|labels of \w+ span|annotated with class|names the class"
FOREIGN_LABEL = rf"{FOREIGN_CLASS}|no valid file for the classes 00000|labels the image or category 5"
NUMBERED = ("flowers", "cars", "stl10", "cifar10", "cifar100", "mnist", "usps")
IMAGENET = ("imagenet", "imagenet_val")
NAMED = ("aircraft", "dtd", "resisc45", *IMAGENET)
"""Labels are names, which nothing can shift."""
PACKED = tuple(n for n in NAMES if CATALOGUE[n].downloads and CATALOGUE[n].downloads[0].unpack_to is not None)

DAMAGES = (
    Damage(absent, "there is no folder"),
    Damage(missing_file, "is missing", of_all_but(*IMAGENET)),
    Damage(missing_image, r"images of \w+ are missing, first|has \d+ images, expected", IN_FILES),
    Damage(missing_annotation, r"1 annotations of \w+ are missing, first", DENSE),
    Damage(extra_class, FOREIGN_CLASS),
    Damage(missing_class, r"classes, expected|has no image of 1 classes", of_all_but(*DENSE)),
    Damage(off_by_one, r"labels of train span 1\.\.\d+, expected 0\.\.\d+, off by one", NUMBERED),
    Damage(off_by_one, FOREIGN_LABEL, of_all_but(*NUMBERED, *NAMED)),
    Damage(truncated_image, r"cannot be read|has \d+ images"),
    Damage(wrong_count, r"split \w+ has \d+ images, expected \d+"),
    Damage(wrong_split_list, "one of the split lists is wrong", of_all_but("cars", "gtsrb", "sbd", *IMAGENET)),
    Damage(web_page, "is a web page|UnidentifiedImageError"),
    Damage(empty_file, r"(is|are) empty"),
    Damage(wrong_checksum, "has the MD5", tuple(name for name in NAMES if CATALOGUE[name].checksums)),
    Damage(not_unpacked, "was not unpacked", PACKED),
    Damage(nested_folder, r"it lies in|has \d+ images|are missing", ("cars", "flowers", "aircraft", "resisc45")),
)  # fmt: skip


def test_the_table_has_at_least_twelve_kinds_and_every_data_set_most_of_them() -> None:
    assert len({each.inflict for each in DAMAGES}) >= 12
    assert min(sum(name in each.names for each in DAMAGES) for name in NAMES) >= 8


@pytest.mark.parametrize(
    ("damage", "name"),
    [pytest.param(each, name, id=f"{each.inflict.__name__}-{name}") for each in DAMAGES for name in each.names],
)
def test_damage_is_named(damage: Damage, name: str, tmp_path: Path) -> None:
    """The table: kinds of damage x data sets that can have it."""
    faults = check(damage.inflict(name, tmp_path), tmp_path)
    assert faults, "the damage goes unseen"
    assert any(re.search(damage.message, fault) for fault in faults), faults
    assert all("\n" not in fault for fault in faults)
