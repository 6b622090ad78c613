"""Tiny data sets in the true on-disk format of every data set of the catalogue, so that tests run the real readers."""

import bz2
import csv
import json
import pickle
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat

from benchmarks.data.catalogue import CATALOGUE
from benchmarks.data.catalogue.entry import DataSet
from benchmarks.data.catalogue.files import digest_of
from benchmarks.data.catalogue.voc import CLASSES as VOC_CLASSES
from benchmarks.data.catalogue.voc import SBD_FOLDER

FRAMES = 3
"""Frames of a GTSRB track here; 30 in the data set."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a writer writes: label i is `i % classes + shift`; with `overlap` all splits hold the same images."""

    classes: int
    counts: dict[str, int]
    shift: int = 0
    overlap: bool = False

    def labels(self, split: str) -> list[int]:
        return [index % self.classes + self.shift for index in range(self.counts[split])]

    def first(self, split: str) -> int:
        """Number of the first image of a split, when images are numbered through all splits."""
        before = list(self.counts)[: list(self.counts).index(split)]
        return 0 if self.overlap else sum(self.counts[name] for name in before)

    def numbers(self, split: str) -> list[int]:
        return [self.first(split) + index for index in range(self.counts[split])]

    def pixels(self, split: str, size: int, channels: int = 3) -> np.ndarray:
        """(N, size, size, channels) uint8 noise that depends on the number of the image alone."""
        shape = (size, size, channels)
        noise = [
            np.random.default_rng(number).integers(0, 256, shape, dtype=np.uint8) for number in self.numbers(split)
        ]
        return np.stack(noise)


def write_image(path: Path, number: int, size: tuple[int, int] = (16, 20)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(number).integers(0, 256, (*size, 3), dtype=np.uint8)).save(path)


def write_text(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def flowers(folder: Path, plan: Plan) -> None:
    top = folder / "flowers-102"
    key = {"train": "trnid", "val": "valid", "test": "tstid"}
    labels = {number: label for s in plan.counts for number, label in zip(plan.numbers(s), plan.labels(s), strict=True)}
    for number in labels:
        write_image(top / f"jpg/image_{number + 1:05d}.jpg", number)
    savemat(top / "imagelabels.mat", {"labels": [[labels[number] + 1 for number in sorted(labels)]]})
    savemat(top / "setid.mat", {key[s]: [[number + 1 for number in plan.numbers(s)]] for s in plan.counts})


def aircraft(folder: Path, plan: Plan) -> None:
    top = folder / "fgvc-aircraft-2013b/data"
    write_text(top / "variants.txt", [f"Model {label} XL" for label in range(plan.shift, plan.classes + plan.shift)])
    for split in plan.counts:
        numbered = list(zip(plan.numbers(split), plan.labels(split), strict=True))
        for number, _ in numbered:
            write_image(top / f"images/{number:07d}.jpg", number, (60, 40))
        write_text(
            top / f"images_variant_{split}.txt", [f"{number:07d} Model {label} XL" for number, label in numbered]
        )


def cars(folder: Path, plan: Plan) -> None:
    top = folder / "stanford_cars"
    (top / "devkit").mkdir(parents=True)
    savemat(top / "devkit/cars_meta.mat", {"class_names": np.array([f"Car {i}" for i in range(plan.classes)], object)})
    where = {"train": "devkit/cars_train_annos.mat", "test": "cars_test_annos_withlabels.mat"}
    for split in plan.counts:
        said = np.zeros(plan.counts[split], [("bbox_x1", "i4"), ("class", "i4"), ("fname", object)])
        for row, number, label in zip(said, plan.numbers(split), plan.labels(split), strict=True):
            row["class"], row["fname"] = label + 1, f"{number:05d}.jpg"
            write_image(top / f"cars_{split}/{number:05d}.jpg", number)
        savemat(top / where[split], {"annotations": said})


def stl10(folder: Path, plan: Plan) -> None:
    top = folder / "stl10_binary"
    top.mkdir(parents=True)
    for split in plan.counts:
        (top / f"{split}_X.bin").write_bytes(plan.pixels(split, 96).transpose(0, 3, 2, 1).tobytes())
        (top / f"{split}_y.bin").write_bytes(bytes(label + 1 for label in plan.labels(split)))


def resisc45(folder: Path, plan: Plan) -> None:
    for split in plan.counts:
        listed = [f"scene{c}_{n:03d}.jpg" for n, c in zip(plan.numbers(split), plan.labels(split), strict=True)]
        write_text(folder / f"resisc45-{split}.txt", listed)
        for number, name in zip(plan.numbers(split), listed, strict=True):
            write_image(folder / "NWPU-RESISC45" / name.partition("_")[0] / name, number)


def gtsrb(folder: Path, plan: Plan) -> None:
    top = folder / "gtsrb"
    for label in range(plan.classes):
        (top / f"GTSRB/Training/{label:05d}").mkdir(parents=True)
    for index, label in enumerate(plan.labels("train")):
        place = index // plan.classes
        name = f"{place // FRAMES:05d}_{place % FRAMES:05d}"
        write_image(top / f"GTSRB/Training/{label:05d}/{name}.ppm", index)
    with (top / "GT-final_test.csv").open("w", newline="") as stream:
        rows = csv.writer(stream, delimiter=";")
        rows.writerow(["Filename", "Width", "Height", "ClassId"])
        for number, label in zip(plan.numbers("test"), plan.labels("test"), strict=True):
            write_image(top / f"GTSRB/Final_Test/Images/{number:05d}.ppm", number)
            rows.writerow([f"{number:05d}.ppm", 40, 32, label])


def dtd(folder: Path, plan: Plan) -> None:
    top = folder / "dtd/dtd"
    for split in plan.counts:
        numbered = list(zip(plan.numbers(split), plan.labels(split), strict=True))
        names = [f"woven{label}/woven{label}_{number:04d}.jpg" for number, label in numbered]
        write_text(top / f"labels/{split}1.txt", names)
        for (number, _), name in zip(numbered, names, strict=True):
            write_image(top / "images" / name, number)


def svhn(folder: Path, plan: Plan) -> None:
    folder.mkdir(parents=True)
    for split in plan.counts:
        stored = [{0: 10, 10: 11}.get(label, label) for label in plan.labels(split)]
        pixels = plan.pixels(split, 32).transpose(1, 2, 3, 0)
        savemat(folder / f"{split}_32x32.mat", {"X": pixels, "y": np.array(stored, np.uint8)[:, None]})


def _pickled(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content))


def cifar10(folder: Path, plan: Plan) -> None:
    top = folder / "cifar-10-batches-py"
    data = {split: plan.pixels(split, 32).transpose(0, 3, 1, 2).reshape(-1, 3072) for split in plan.counts}
    parts = np.array_split(np.arange(plan.counts["train"]), 5)
    for number, part in enumerate(parts, 1):
        labels = [plan.labels("train")[i] for i in part]
        _pickled(top / f"data_batch_{number}", {"data": data["train"][part], "labels": labels})
    _pickled(top / "test_batch", {"data": data["test"], "labels": plan.labels("test")})
    _pickled(top / "batches.meta", {"label_names": [f"thing {i}" for i in range(plan.classes)]})


def cifar100(folder: Path, plan: Plan) -> None:
    top = folder / "cifar-100-python"
    for split in plan.counts:
        flat = plan.pixels(split, 32).transpose(0, 3, 1, 2).reshape(-1, 3072)
        _pickled(top / split, {"data": flat, "fine_labels": plan.labels(split)})
    _pickled(top / "meta", {"fine_label_names": [f"thing {i}" for i in range(plan.classes)]})


def mnist(folder: Path, plan: Plan) -> None:
    top = folder / "MNIST/raw"
    top.mkdir(parents=True)
    for split, name in (("train", "train"), ("test", "t10k")):
        pixels = plan.pixels(split, 28, 1)
        shape = np.array(pixels.shape[:3], ">i4").tobytes()
        (top / f"{name}-images-idx3-ubyte").write_bytes(b"\0\0\x08\x03" + shape + pixels.tobytes())
        head = b"\0\0\x08\x01" + np.array([len(pixels)], ">i4").tobytes()
        (top / f"{name}-labels-idx1-ubyte").write_bytes(head + bytes(plan.labels(split)))


def usps(folder: Path, plan: Plan) -> None:
    folder.mkdir(parents=True)
    for split, name in (("train", "usps.bz2"), ("test", "usps.t.bz2")):
        lines = []
        for pixels, label in zip(plan.pixels(split, 16, 1), plan.labels(split), strict=True):
            values = pixels.flatten() / 127.5 - 1
            lines.append(f"{label + 1} " + " ".join(f"{i}:{value:.4f}" for i, value in enumerate(values, 1)) + "\n")
        (folder / name).write_bytes(bz2.compress("".join(lines).encode()))


def imagenet(folder: Path, plan: Plan) -> None:
    for split in plan.counts:
        for number, label in zip(plan.numbers(split), plan.labels(split), strict=True):
            write_image(folder / f"{split}/n{label:08d}/{number:08d}.JPEG", number)


def decathlon(folder: Path, plan: Plan, part: str) -> None:
    top = folder / "decathlon-1.0"
    for split in plan.counts:
        numbered = list(zip(plan.numbers(split), plan.labels(split), strict=True))
        names = [f"data/{part}/{'train' if plan.overlap else split}/{c:04d}/{n:06d}.jpg" for n, c in numbered]
        for (number, _), name in zip(numbered, names, strict=True):
            write_image(top / name, number)
        said = {
            "categories": [{"id": 1 + i, "name": f"kind {i}"} for i in range(plan.classes)],
            "images": [{"id": 7 + i, "file_name": name} for i, name in enumerate(names)],
            "annotations": [{"image_id": 7 + i, "category_id": 1 + label} for i, (_, label) in enumerate(numbered)],
        }
        write_text(top / f"annotations/{part}_{split}.json", [json.dumps(said)])


def voc_detection(folder: Path, plan: Plan, year: str) -> None:
    top = folder / f"VOCdevkit/VOC{year}"
    names = {split: [f"{number:06d}" for number in plan.numbers(split)] for split in plan.counts}
    for split, listed in names.items():
        write_text(top / f"ImageSets/Main/{split}.txt", listed)
        for name, label in zip(listed, plan.labels(split), strict=True):
            write_image(top / f"JPEGImages/{name}.jpg", int(name))
            kind = (*VOC_CLASSES, "unicorn")[label]
            box = "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox>"
            said = f"<annotation><object><name>{kind}</name>{box}</object></annotation>"
            write_text(top / f"Annotations/{name}.xml", [said])
    if year == "2012":
        write_text(top / "ImageSets/Main/trainval.txt", [name for listed in names.values() for name in listed])


def _mask(label: int) -> np.ndarray:
    mask = np.zeros((16, 20), np.uint8)
    mask[4:12, 4:12], mask[12:14, 4:12] = label, 255
    return mask


def voc_segmentation(folder: Path, plan: Plan) -> None:
    top = folder / "VOCdevkit/VOC2012"
    (top / "SegmentationClass").mkdir(parents=True, exist_ok=True)
    for split in plan.counts:
        write_text(top / f"ImageSets/Segmentation/{split}.txt", [f"{number:06d}" for number in plan.numbers(split)])
        for number, label in zip(plan.numbers(split), plan.labels(split), strict=True):
            write_image(top / f"JPEGImages/{number:06d}.jpg", number)
            Image.fromarray(_mask(label)).save(top / f"SegmentationClass/{number:06d}.png")


def sbd(folder: Path, plan: Plan) -> None:
    top = folder / SBD_FOLDER
    (top / "cls").mkdir(parents=True)
    for split in plan.counts:
        write_text(top / f"{split}.txt", [f"{number:06d}" for number in plan.numbers(split)])
        for number, label in zip(plan.numbers(split), plan.labels(split), strict=True):
            write_image(top / f"img/{number:06d}.jpg", number)
            savemat(top / f"cls/{number:06d}.mat", {"GTcls": {"Segmentation": _mask(label)}})


def _decathlon(part: str) -> Callable[[Path, Plan], None]:
    return lambda folder, plan: decathlon(folder, plan, part)


WRITERS: dict[str, Callable[[Path, Plan], None]] = {
    **{writer.__name__: writer for writer in (flowers, aircraft, cars, stl10, resisc45, gtsrb, dtd, svhn)},
    **{writer.__name__: writer for writer in (cifar10, cifar100, mnist, usps, imagenet, sbd)},
    **{
        name: _decathlon(CATALOGUE[name].needs[1].rpartition("/")[2])
        for name in CATALOGUE
        if name.startswith("decathlon_")
    },
    "imagenet_val": imagenet,
    "voc2007": lambda folder, plan: voc_detection(folder, plan, "2007"),
    "voc2012": lambda folder, plan: voc_detection(folder, plan, "2012"),
    "voc2012_seg": voc_segmentation,
}
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
    plan = replace(Plan(classes=entry.classes, counts=entry.counts), **changes)  # type: ignore[arg-type]
    WRITERS[name](entry.at(data_root), plan)
    checksums = {path: digest_of(entry.at(data_root) / path, "md5") for path in CATALOGUE[name].checksums}
    return replace(entry, checksums=checksums)
