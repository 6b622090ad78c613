"""Writers of every data set of the catalogue in its true on-disk format, with drawn images: the real readers read them.

The rehearsal writes images of their natural sizes, tests smaller ones.
"""

import bz2
import csv
import json
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from benchmarks.data.catalogue import CATALOGUE
from benchmarks.data.catalogue.voc import CLASSES as VOC_CLASSES
from benchmarks.data.catalogue.voc import SBD_FOLDER

Size = tuple[int, int]
"""Height and width in pixels."""
Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a writer writes: label i is `i % shown + shift`; with `overlap` all splits hold the same images."""

    classes: int
    """Classes that the data set names."""
    shown: int
    """Classes that have images, the first ones."""
    counts: dict[str, int]
    """Split -> images."""
    shift: int = 0
    overlap: bool = False
    image_size: Size | None = None
    """Of images in files; None = as large as those of the data set usually are."""
    frames: int = 1
    """Of a track of GTSRB; 30 in the data set."""

    def labels(self, split: str) -> list[int]:
        """Of every image of a split."""
        return [index % self.shown + self.shift for index in range(self.counts[split])]

    def first(self, split: str) -> int:
        """Number of the first image of a split, when images are numbered through all splits."""
        before = list(self.counts)[: list(self.counts).index(split)]
        return 0 if self.overlap else sum(self.counts[name] for name in before)

    def numbers(self, split: str) -> list[int]:
        """Of every image of a split."""
        return [self.first(split) + index for index in range(self.counts[split])]

    def numbered(self, split: str) -> list[tuple[int, int]]:
        """Number and label of every image of a split."""
        return list(zip(self.numbers(split), self.labels(split), strict=True))

    def pixels(self, split: str, size: int, channels: int = 3) -> Pixels:
        """(N, size, size, channels) uint8 noise that depends on the number of the image alone."""
        shape = (size, size, channels)
        noise = [
            np.random.default_rng(number).integers(0, 256, shape, dtype=np.uint8) for number in self.numbers(split)
        ]
        return np.stack(noise)

    def write_image(self, path: Path, number: int, natural: Size) -> None:
        """A file of blurred noise that depends on the number of the image alone."""
        height, width = self.image_size or natural
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(number).integers(0, 256, (8, 10, 3), dtype=np.uint8)
        Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC).save(path)


def write_text(path: Path, lines: list[str]) -> None:
    """A text file of these lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def write_mat(path: Path, arrays: dict[str, Any]) -> None:
    """A Matlab file of named arrays."""
    from scipy.io import savemat  # takes half a second to import, for which every command would wait

    savemat(path, arrays)


def flowers(folder: Path, plan: Plan) -> None:
    """Flowers102: Matlab lists beside one folder of images."""
    top = folder / "flowers-102"
    key = {"train": "trnid", "val": "valid", "test": "tstid"}
    labels = {number: label for s in plan.counts for number, label in plan.numbered(s)}
    for number in labels:
        plan.write_image(top / f"jpg/image_{number + 1:05d}.jpg", number, (500, 600))
    write_mat(top / "imagelabels.mat", {"labels": [[labels[number] + 1 for number in sorted(labels)]]})
    write_mat(top / "setid.mat", {key[s]: [[number + 1 for number in plan.numbers(s)]] for s in plan.counts})


def aircraft(folder: Path, plan: Plan) -> None:
    """FGVC-Aircraft: a text list for each split."""
    top = folder / "fgvc-aircraft-2013b/data"
    write_text(top / "variants.txt", [f"Model {label} XL" for label in range(plan.shift, plan.classes + plan.shift)])
    for split in plan.counts:
        numbered = plan.numbered(split)
        for number, _ in numbered:
            plan.write_image(top / f"images/{number:07d}.jpg", number, (700, 1024))
        write_text(
            top / f"images_variant_{split}.txt", [f"{number:07d} Model {label} XL" for number, label in numbered]
        )


def cars(folder: Path, plan: Plan) -> None:
    """Stanford Cars: Matlab annotations, in torchvision's layout."""
    top = folder / "stanford_cars"
    (top / "devkit").mkdir(parents=True, exist_ok=True)
    write_mat(
        top / "devkit/cars_meta.mat", {"class_names": np.array([f"Car {i}" for i in range(plan.classes)], object)}
    )
    where = {"train": "devkit/cars_train_annos.mat", "test": "cars_test_annos_withlabels.mat"}
    for split in plan.counts:
        said = np.zeros(plan.counts[split], [("bbox_x1", "i4"), ("class", "i4"), ("fname", object)])
        for row, number, label in zip(said, plan.numbers(split), plan.labels(split), strict=True):
            row["class"], row["fname"] = label + 1, f"{number:05d}.jpg"
            plan.write_image(top / f"cars_{split}/{number:05d}.jpg", number, (480, 700))
        write_mat(top / where[split], {"annotations": said})


def stl10(folder: Path, plan: Plan) -> None:
    """STL-10: raw arrays."""
    top = folder / "stl10_binary"
    top.mkdir(parents=True, exist_ok=True)
    for split in plan.counts:
        (top / f"{split}_X.bin").write_bytes(plan.pixels(split, 96).transpose(0, 3, 2, 1).tobytes())
        (top / f"{split}_y.bin").write_bytes(bytes(label + 1 for label in plan.labels(split)))


def resisc45(folder: Path, plan: Plan) -> None:
    """RESISC45: class folders and torchgeo's three lists."""
    for split in plan.counts:
        listed = [f"scene{c}_{n:03d}.jpg" for n, c in plan.numbered(split)]
        write_text(folder / f"resisc45-{split}.txt", listed)
        for number, name in zip(plan.numbers(split), listed, strict=True):
            plan.write_image(folder / "NWPU-RESISC45" / name.partition("_")[0] / name, number, (256, 256))


def gtsrb(folder: Path, plan: Plan) -> None:
    """GTSRB: class folders of tracks to train on, one list to test on."""
    top = folder / "gtsrb"
    for label in range(plan.classes):
        (top / f"GTSRB/Training/{label:05d}").mkdir(parents=True, exist_ok=True)
    for index, label in enumerate(plan.labels("train")):
        place = index // plan.shown
        name = f"{place // plan.frames:05d}_{place % plan.frames:05d}"
        plan.write_image(top / f"GTSRB/Training/{label:05d}/{name}.ppm", index, (40, 44))
    with (top / "GT-final_test.csv").open("w", newline="") as stream:
        rows = csv.writer(stream, delimiter=";")
        rows.writerow(["Filename", "Width", "Height", "ClassId"])
        for number, label in plan.numbered("test"):
            plan.write_image(top / f"GTSRB/Final_Test/Images/{number:05d}.ppm", number, (52, 48))
            rows.writerow([f"{number:05d}.ppm", 40, 32, label])


def dtd(folder: Path, plan: Plan) -> None:
    """Describable Textures: lists of partition 1."""
    top = folder / "dtd/dtd"
    for split in plan.counts:
        numbered = plan.numbered(split)
        names = [f"woven{label}/woven{label}_{number:04d}.jpg" for number, label in numbered]
        write_text(top / f"labels/{split}1.txt", names)
        for (number, _), name in zip(numbered, names, strict=True):
            plan.write_image(top / "images" / name, number, (480, 640))


def svhn(folder: Path, plan: Plan) -> None:
    """SVHN: Matlab arrays, in which the digit 0 is 10."""
    folder.mkdir(parents=True, exist_ok=True)
    for split in plan.counts:
        stored = [{0: 10, 10: 11}.get(label, label) for label in plan.labels(split)]
        pixels = plan.pixels(split, 32).transpose(1, 2, 3, 0)
        write_mat(folder / f"{split}_32x32.mat", {"X": pixels, "y": np.array(stored, np.uint8)[:, None]})


def _pickled(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content))


def cifar10(folder: Path, plan: Plan) -> None:
    """CIFAR-10: pickled batches."""
    top = folder / "cifar-10-batches-py"
    data = {split: plan.pixels(split, 32).transpose(0, 3, 1, 2).reshape(-1, 3072) for split in plan.counts}
    parts = np.array_split(np.arange(plan.counts["train"]), 5)
    for number, part in enumerate(parts, 1):
        labels = [plan.labels("train")[i] for i in part]
        _pickled(top / f"data_batch_{number}", {"data": data["train"][part], "labels": labels})
    _pickled(top / "test_batch", {"data": data["test"], "labels": plan.labels("test")})
    _pickled(top / "batches.meta", {"label_names": [f"thing {i}" for i in range(plan.classes)]})


def cifar100(folder: Path, plan: Plan) -> None:
    """CIFAR-100: pickled splits."""
    top = folder / "cifar-100-python"
    for split in plan.counts:
        flat = plan.pixels(split, 32).transpose(0, 3, 1, 2).reshape(-1, 3072)
        _pickled(top / split, {"data": flat, "fine_labels": plan.labels(split)})
    _pickled(top / "meta", {"fine_label_names": [f"thing {i}" for i in range(plan.classes)]})


def mnist(folder: Path, plan: Plan) -> None:
    """MNIST: idx files."""
    top = folder / "MNIST/raw"
    top.mkdir(parents=True, exist_ok=True)
    for split, name in (("train", "train"), ("test", "t10k")):
        pixels = plan.pixels(split, 28, 1)
        shape = np.array(pixels.shape[:3], ">i4").tobytes()
        (top / f"{name}-images-idx3-ubyte").write_bytes(b"\0\0\x08\x03" + shape + pixels.tobytes())
        head = b"\0\0\x08\x01" + np.array([len(pixels)], ">i4").tobytes()
        (top / f"{name}-labels-idx1-ubyte").write_bytes(head + bytes(plan.labels(split)))


def usps(folder: Path, plan: Plan) -> None:
    """USPS: libsvm text in bz2."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, name in (("train", "usps.bz2"), ("test", "usps.t.bz2")):
        lines = []
        for pixels, label in zip(plan.pixels(split, 16, 1), plan.labels(split), strict=True):
            values = pixels.flatten() / 127.5 - 1
            lines.append(f"{label + 1} " + " ".join(f"{i}:{value:.4f}" for i, value in enumerate(values, 1)) + "\n")
        (folder / name).write_bytes(bz2.compress("".join(lines).encode()))


def imagenet(folder: Path, plan: Plan) -> None:
    """ImageNet: folders of WordNet identifiers."""
    for split in plan.counts:
        for place, (number, label) in enumerate(plan.numbered(split)):
            plan.write_image(folder / f"{split}/n{label:08d}/{place:08d}.JPEG", number, (375, 500))


def decathlon(folder: Path, plan: Plan, part: str) -> None:
    """One data set of the Visual Decathlon: COCO-like annotations."""
    top = folder / "decathlon-1.0"
    for split in plan.counts:
        numbered = plan.numbered(split)
        names = [f"data/{part}/{'train' if plan.overlap else split}/{c:04d}/{n:06d}.jpg" for n, c in numbered]
        for (number, _), name in zip(numbered, names, strict=True):
            plan.write_image(top / name, number, (72, 96))
        said = {
            "categories": [{"id": 1 + i, "name": f"kind {i}"} for i in range(plan.classes)],
            "images": [{"id": 7 + i, "file_name": name} for i, name in enumerate(names)],
            "annotations": [{"image_id": 7 + i, "category_id": 1 + label} for i, (_, label) in enumerate(numbered)],
        }
        write_text(top / f"annotations/{part}_{split}.json", [json.dumps(said)])


VOC_SIZE = (375, 500)


def _annotation(kind: str, size: Size) -> str:
    """One box over the middle of an image, in VOC's XML."""
    height, width = size
    box = f"<xmin>{width // 4}</xmin><ymin>{height // 4}</ymin><xmax>{width // 2}</xmax><ymax>{height // 2}</ymax>"
    named = f"<object><name>{kind}</name><difficult>0</difficult><bndbox>{box}</bndbox></object>"
    return f"<annotation><size><width>{width}</width><height>{height}</height></size>{named}</annotation>"


def voc_detection(folder: Path, plan: Plan, year: str) -> None:
    """PASCAL VOC of a year: boxes in XML."""
    top = folder / f"VOCdevkit/VOC{year}"
    names = {split: [f"{number:06d}" for number in plan.numbers(split)] for split in plan.counts}
    for split, listed in names.items():
        write_text(top / f"ImageSets/Main/{split}.txt", listed)
        for name, label in zip(listed, plan.labels(split), strict=True):
            plan.write_image(top / f"JPEGImages/{name}.jpg", int(name), VOC_SIZE)
            kind = (*VOC_CLASSES, "unicorn")[label]
            write_text(top / f"Annotations/{name}.xml", [_annotation(kind, plan.image_size or VOC_SIZE)])
    if year == "2012":
        write_text(top / "ImageSets/Main/trainval.txt", [name for listed in names.values() for name in listed])


def _mask(label: int, size: Size) -> Pixels:
    """A class in the middle, with a border that is not scored."""
    height, width = size
    mask = np.zeros(size, np.uint8)
    mask[height // 4 : height // 2, width // 4 : width // 2] = label
    mask[height // 2 : height // 2 + 2, width // 4 : width // 2] = 255
    return mask


def voc_segmentation(folder: Path, plan: Plan) -> None:
    """PASCAL VOC 2012: masks as images."""
    top = folder / "VOCdevkit/VOC2012"
    (top / "SegmentationClass").mkdir(parents=True, exist_ok=True)
    for split in plan.counts:
        write_text(top / f"ImageSets/Segmentation/{split}.txt", [f"{number:06d}" for number in plan.numbers(split)])
        for number, label in plan.numbered(split):
            plan.write_image(top / f"JPEGImages/{number:06d}.jpg", number, VOC_SIZE)
            mask = Image.fromarray(_mask(label, plan.image_size or VOC_SIZE))
            mask.save(top / f"SegmentationClass/{number:06d}.png")


def with_sbd_masks(folder: Path, plan: Plan) -> None:
    """What `mim run mmsegmentation voc_aug` adds to VOC 2012: SBD's masks as images, and the list of them."""
    top = folder / "VOCdevkit/VOC2012"
    (top / "SegmentationClassAug").mkdir(exist_ok=True)
    names = [f"aug_{number:06d}" for number in range(plan.counts["train"])]
    write_text(top / "ImageSets/Segmentation/aug.txt", names)
    for number, name in enumerate(names):
        plan.write_image(top / f"JPEGImages/{name}.jpg", 10**6 + number, VOC_SIZE)
        mask = Image.fromarray(_mask(1 + number % 20, plan.image_size or VOC_SIZE))
        mask.save(top / f"SegmentationClassAug/{name}.png")


def sbd(folder: Path, plan: Plan) -> None:
    """Semantic Boundaries: masks in Matlab files."""
    top = folder / SBD_FOLDER
    (top / "cls").mkdir(parents=True, exist_ok=True)
    for split in plan.counts:
        write_text(top / f"{split}.txt", [f"{number:06d}" for number in plan.numbers(split)])
        for number, label in plan.numbered(split):
            plan.write_image(top / f"img/{number:06d}.jpg", number, VOC_SIZE)
            write_mat(
                top / f"cls/{number:06d}.mat", {"GTcls": {"Segmentation": _mask(label, plan.image_size or VOC_SIZE)}}
            )


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
