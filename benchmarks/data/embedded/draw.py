"""Shared helpers of the drawn tasks: seeded generators, colours, backgrounds, warps, and the final camera.

Conventions: a canvas is a (32, 32, 3) float array of RGB values 0..255, a mask a (32, 32) float array of
coverages 0..1. Shapes are drawn as PIL images at a multiple of 32 px and shrunk, which smooths edges.
"""

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from benchmarks.data.images import ImageSplit, ImageTask

SIDE = 32  # px
Floats = NDArray[np.floating[Any]]
Pixels = NDArray[np.uint8]
Drawer = Callable[[int, np.random.Generator], Pixels]
_LUMINANCE = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601 weights


def generator(*ingredients: str | int) -> np.random.Generator:
    """A generator seeded by the ingredients alone, e.g. (task, split, index): same image on every machine."""
    digest = hashlib.sha256("/".join(map(str, ingredients)).encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "little")))


def drawn_split(task: str, split: str, draw: Drawer, class_count: int, per_class: int) -> ImageSplit:
    """Draw `per_class` images of each class; image i has class i % class_count and a generator of its own."""
    labels = np.arange(class_count * per_class, dtype=np.int64) % class_count
    images = [draw(int(label), generator(task, split, index)) for index, label in enumerate(labels)]
    return ImageSplit(images=np.stack(images), labels=labels)


def drawn_task(
    name: str, class_names: tuple[str, ...], draw: Drawer, per_class: tuple[int, int, int], source: str
) -> ImageTask:
    """A balanced task drawn by `draw`; `per_class` counts the images per class in train, val and test."""
    train, val, test = (
        drawn_split(name, split, draw, len(class_names), count)
        for split, count in zip(("train", "val", "test"), per_class, strict=True)
    )
    return ImageTask(name=name, class_names=class_names, train=train, val=val, test=test, source=source)


def random_colour(rng: np.random.Generator) -> Floats:
    """A (3,) RGB colour, uniform in 0..255."""
    return rng.random(3) * 255


def contrasting_colour(rng: np.random.Generator, other: Floats, gap: float) -> Floats:
    """A random (3,) colour whose luminance differs from that of `other` by at least `gap` (below 120)."""
    while True:
        colour = random_colour(rng)
        if abs(float((colour - other) @ _LUMINANCE)) >= gap:
            return colour


def smooth_noise(rng: np.random.Generator, cells: int, side: int = SIDE) -> Floats:
    """(side, side, 3) values 0..1 that vary smoothly over `cells` x `cells` random knots."""
    knots = rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8)
    smooth = Image.fromarray(knots).resize((side, side), Image.Resampling.BICUBIC)
    return np.asarray(smooth, np.float32) / 255


def ramp(rng: np.random.Generator) -> Floats:
    """(32, 32) linear ramp of random direction from -1 to 1 (the light falling from one side)."""
    angle = rng.uniform(0, 2 * np.pi)
    axis = np.linspace(-1, 1, SIDE) / np.sqrt(2)
    return np.asarray(np.cos(angle) * axis[None, :] + np.sin(angle) * axis[:, None])


def background(rng: np.random.Generator, base: Floats, strength: float) -> Floats:
    """A canvas around the colour `base`: flat, shaded, cloudy or striped by up to about +-`strength`."""
    canvas = np.tile(base, (SIDE, SIDE, 1))
    kind = rng.choice(("flat", "shaded", "cloudy", "striped"))
    if kind == "shaded":
        canvas += ramp(rng)[..., None] * rng.uniform(-strength, strength, 3)
    elif kind == "cloudy":
        canvas += (smooth_noise(rng, int(rng.integers(3, 14))) - 0.5) * (2 * strength)
    elif kind == "striped":
        phase = ramp(rng) * rng.uniform(4, 30) + rng.uniform(0, 2 * np.pi)
        canvas += np.sin(phase)[..., None] * rng.uniform(-strength, strength, 3)
    return canvas


def clutter(rng: np.random.Generator, strokes: int) -> Floats:
    """Mask of `strokes` random line pieces and ellipse outlines, the distractors behind or over an object."""
    image = Image.new("L", (2 * SIDE, 2 * SIDE))
    pen = ImageDraw.Draw(image)
    for _ in range(strokes):
        x0, y0, x1, y1 = (int(value) for value in rng.integers(-8, 2 * SIDE + 8, 4))
        width = int(rng.integers(2, 5))
        if rng.random() < 0.5:
            pen.line((x0, y0, x1, y1), fill=255, width=width)
        else:
            pen.ellipse((min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)), outline=255, width=width)
    return to_mask(image)


def to_mask(image: Image.Image) -> Floats:
    """Shrink a square grey image whose side is a multiple of 32 px to a mask."""
    return np.asarray(image.reduce(image.width // SIDE), np.float32) / 255


def warp(
    image: Image.Image,
    rng: np.random.Generator,
    *,
    rotation: float,
    scale: tuple[float, float],
    shear: float = 0.0,
    shift: float = 0.0,
    skew: float = 0.0,
) -> Image.Image:
    """Warp a square image at random about its centre, filling the outside with zeros.

    rotation: +-degrees. scale: range of the zoom. shear: +-slope. shift: +-px of the final 32. skew: +-share
    of the side by which each corner moves on its own (a seeming change of viewpoint).
    """
    angle = np.radians(rng.uniform(-rotation, rotation))
    cos, sin = np.cos(angle), np.sin(angle)
    sheared = np.array([[1.0, rng.uniform(-shear, shear)], [0.0, 1.0]])
    forward = rng.uniform(*scale) * np.array([[cos, -sin], [sin, cos]]) @ sheared
    # PIL asks where each output corner (NW, SW, SE, NE) lies in the source, hence the inverse.
    corners = np.array([[-0.5, -0.5], [-0.5, 0.5], [0.5, 0.5], [0.5, -0.5]])
    moved = corners - rng.uniform(-shift, shift, 2) / SIDE + rng.uniform(-skew, skew, (4, 2))
    source = (moved @ np.linalg.inv(forward).T + 0.5) * image.width
    return image.transform(image.size, Image.Transform.QUAD, tuple(source.ravel().tolist()), Image.Resampling.BILINEAR)


def blend(canvas: Floats, mask: Floats, colour: Floats) -> Floats:
    """Paint `colour`, a (3,) colour or a canvas, over `canvas` where `mask` covers it."""
    return np.asarray(canvas + mask[..., None] * (colour - canvas))


def photograph(rng: np.random.Generator, canvas: Floats, *, blur: float, noise: float) -> Pixels:
    """Finish a canvas like a camera: Gaussian blur up to `blur` px, pixel noise up to sigma `noise`."""
    image = Image.fromarray(np.clip(canvas, 0, 255).astype(np.uint8))
    blurred = np.asarray(image.filter(ImageFilter.GaussianBlur(rng.uniform(0, blur))))
    grain = rng.standard_normal(blurred.shape) * rng.uniform(0, noise)
    return np.clip(np.rint(blurred + grain), 0, 255).astype(np.uint8)
