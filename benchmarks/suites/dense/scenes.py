"""Drawn scenes in the layout of PASCAL VOC: shapes on a busy ground, with boxes and masks.

Each class has a shape and a pattern, as things of the world have: a slim frozen net tells them apart within minutes.
"""

import hashlib
import shutil
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from PIL import Image, ImageDraw

from benchmarks.data.embedded import draw, shapes
from delta_core.training.lock import locked

CLASS_NAMES = ("triangle", "square", "circle", "star", "cross", "heart")
SIDE = 128  # px
COUNTS = {"train": 240, "val": 60, "test": 100}
VERSION = 1
"""Raise it whenever a change alters the pixels."""
YEAR = "VOC2007"
_SUPER = 4  # objects are drawn larger and shrunk, which smooths edges
_PALETTE = [(0, 0, 0), (200, 60, 60), (60, 160, 60), (70, 90, 210), (220, 180, 40), (160, 70, 190), (50, 180, 190)]

Box = tuple[int, int, int, int]
"""First and last column and row: x0, y0, x1, y1, all inside the box, counted from 0."""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """One image with its truth."""

    image: draw.Pixels
    """(S, S, 3)."""
    mask: draw.Pixels
    """(S, S): 0 = ground, else 1 + class."""
    objects: tuple[tuple[int, Box], ...]
    """Class and box of each object."""


def draw_scene(rng: np.random.Generator) -> Scene:
    """One to four shapes that do not overlap, each filled with a colour that stands out from the ground."""
    ground = draw.random_colour(rng)
    canvas = np.tile(ground, (SIDE, SIDE, 1)) + (draw.smooth_noise(rng, int(rng.integers(4, 24)), SIDE) - 0.5) * 50
    mask = np.zeros((SIDE, SIDE), np.uint8)
    objects: list[tuple[int, Box]] = []
    for _ in range(int(rng.integers(2, 7))):
        label = int(rng.integers(len(CLASS_NAMES)))
        cover = _cover(label, rng)
        seen = cover > 0.5
        if len(objects) == 4 or (cover * (mask > 0)).any():
            continue
        first = draw.contrasting_colour(rng, ground, gap=80)
        second = draw.contrasting_colour(rng, first, gap=80)
        ink = draw.blend(np.tile(first, (SIDE, SIDE, 1)), _pattern(label, rng), second)
        canvas = draw.blend(canvas, cover, ink)
        mask[seen] = 1 + label
        rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
        objects.append((label, (int(columns[0]), int(rows[0]), int(columns[-1]), int(rows[-1]))))
    return Scene(image=draw.photograph(rng, canvas, blur=0.6, noise=7), mask=mask, objects=tuple(objects))


def _cover(label: int, rng: np.random.Generator) -> draw.Floats:
    """(S, S) coverage of one shape at a random place, size (26 to 64 px) and angle."""
    radius = _SUPER * rng.uniform(13, 32)
    angle = rng.uniform(-0.5, 0.5)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    centre = rng.uniform(radius, _SUPER * SIDE - radius, 2)
    # Image rows run downwards, outlines upwards.
    points = shapes.outline(shapes.CLASS_NAMES.index(CLASS_NAMES[label])) @ turn * [radius, -radius] + centre
    image = Image.new("L", (_SUPER * SIDE, _SUPER * SIDE))
    ImageDraw.Draw(image).polygon([(float(x), float(y)) for x, y in points], fill=255)
    return np.asarray(image.reduce(_SUPER), np.float32) / 255


def _pattern(label: int, rng: np.random.Generator) -> draw.Floats:
    """(S, S) share 0 or 1 of the second colour: plain, stripes, checks, dots, broad stripes, rings."""
    turn = rng.uniform(0, np.pi)
    rows, columns = np.mgrid[:SIDE, :SIDE] - rng.uniform(0, SIDE, (2, 1, 1))
    u, v = columns * np.cos(turn) + rows * np.sin(turn), rows * np.cos(turn) - columns * np.sin(turn)

    def wave(x: draw.Floats, period_px: float) -> draw.Floats:
        return np.asarray(np.sin(2 * np.pi * x / period_px))

    drawn = (
        np.full((SIDE, SIDE), -1.0),
        wave(u, 5),
        wave(u, 10) * wave(v, 10),
        wave(u, 9) + wave(v, 9) - 0.9,
        wave(u, 13),
        wave(np.hypot(u, v), 8),
    )
    return np.asarray(drawn[label] > 0, np.float32)


def scenes(split: str, counts: dict[str, int] | None = None) -> Iterator[tuple[str, Scene]]:
    """Names and scenes of a split, the same on every machine."""
    for index in range((counts or COUNTS)[split]):
        yield f"{split}_{index:04d}", draw_scene(draw.generator("scenes", VERSION, split, index))


def place_of_scenes(cache: Path) -> Path:
    """Where the scenes lie below a cache folder, drawn or not."""
    return cache / "data" / f"scenes-v{VERSION}" / "VOCdevkit"


def scenes_folder(cache: Path, counts: dict[str, int] | None = None) -> Path:
    """The folder `VOCdevkit` with the scenes below a cache folder, drawn if they are not there yet.

    It holds `VOC2007` with Annotations, JPEGImages, SegmentationClass and ImageSets/{Main,Segmentation}, and a SHA-256
    of it all lies beside. Where it is damaged a warning says so, and the scenes are drawn again.
    """
    folder = place_of_scenes(cache)
    if _is_whole(folder):
        return folder
    with locked(folder.parent.with_suffix(".lock"), waiting_for="the drawing of scenes"):
        if _is_whole(folder):  # drawn by another process in the meantime
            return folder
        if folder.exists():
            warnings.warn(f"Scenes in {str(folder)!r} are damaged or of an older version; drawn again.", stacklevel=2)
        partial = folder.with_name(".unfinished")
        for left in (partial, folder):
            shutil.rmtree(left, ignore_errors=True)
        try:
            _write(partial / YEAR, counts or COUNTS)
            _digest_path(folder).write_text(_digest(partial), encoding="utf-8")
            partial.rename(folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return folder


def _is_whole(folder: Path) -> bool:
    try:
        return _digest_path(folder).read_text(encoding="utf-8") == _digest(folder)
    except (FileNotFoundError, UnicodeDecodeError):
        return False


def _digest_path(folder: Path) -> Path:
    """Beside the folder: whatever lies in it is a part of the data, whose identity stands in rows."""
    return folder.with_name(f"{folder.name}.sha256")


def _digest(folder: Path) -> str:
    """SHA-256 over names and contents of all files below a folder."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(folder).as_posix()}|{len(content)}|".encode() + content)
    return digest.hexdigest()


def _write(root: Path, counts: dict[str, int]) -> None:
    for part in ("Annotations", "JPEGImages", "SegmentationClass", "ImageSets/Main", "ImageSets/Segmentation"):
        (root / part).mkdir(parents=True)
    names: dict[str, list[str]] = {}
    for split in counts:
        for name, scene in scenes(split, counts):
            names.setdefault(split, []).append(name)
            Image.fromarray(scene.image).save(root / "JPEGImages" / f"{name}.jpg", quality=95)
            mask = Image.fromarray(scene.mask, "P")
            mask.putpalette([value for colour in _PALETTE for value in colour])
            mask.save(root / "SegmentationClass" / f"{name}.png")
            ElementTree.ElementTree(_annotation(name, scene)).write(root / "Annotations" / f"{name}.xml")
    names["trainval"] = names["train"] + names["val"]
    for split, listed in names.items():
        for part in ("Main", "Segmentation"):
            (root / "ImageSets" / part / f"{split}.txt").write_text(
                "".join(f"{name}\n" for name in listed), encoding="utf-8"
            )


def _annotation(name: str, scene: Scene) -> ElementTree.Element:
    root = ElementTree.Element("annotation")

    def add(parent: ElementTree.Element, **entries: object) -> None:
        for key, value in entries.items():
            ElementTree.SubElement(parent, key).text = str(value)

    add(root, folder=YEAR, filename=f"{name}.jpg")
    add(ElementTree.SubElement(root, "size"), width=SIDE, height=SIDE, depth=3)
    for label, (x0, y0, x1, y1) in scene.objects:
        entry = ElementTree.SubElement(root, "object")
        add(entry, name=CLASS_NAMES[label], difficult=0)
        # VOC counts pixels from 1.
        add(ElementTree.SubElement(entry, "bndbox"), xmin=x0 + 1, ymin=y0 + 1, xmax=x1 + 1, ymax=y1 + 1)
    return root
