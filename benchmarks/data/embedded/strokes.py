"""strokes: characters of an invented script, many classes with few images each, in the role of Omniglot."""

import numpy as np
from PIL import Image, ImageDraw

from benchmarks.data.embedded import draw
from benchmarks.data.images import ImageTask

CLASS_NAMES = tuple(f"character {number}" for number in range(1, 61))
PER_CLASS = (15, 4, 10)
_SUPER = 4 * draw.SIDE  # px, drawing side before shrinking


def strokes_of(label: int) -> list[draw.Floats]:
    """The two or three strokes of character `label`: control points (3, 2) of quadratic curves, in -1..1."""
    rng = draw.generator("strokes", "script", label)
    return [rng.uniform(-0.8, 0.8, (3, 2)) for _ in range(rng.integers(2, 4))]


def draw_character(label: int, rng: np.random.Generator) -> draw.Pixels:
    """One (32, 32, 3) image of character `label`, written by an unsteady hand in dark ink on light paper."""
    page = Image.new("L", (_SUPER, _SUPER))
    pen = ImageDraw.Draw(page)
    width = int(rng.integers(5, 9))
    along = np.linspace(0, 1, 20)[:, None]
    for points in strokes_of(label):
        start, bend, end = points + rng.normal(0, 0.06, (3, 2))
        path = (1 - along) ** 2 * start + 2 * along * (1 - along) * bend + along**2 * end
        pen.line([(float(x), float(y)) for x, y in (path + 1) * _SUPER / 2], fill=255, width=width, joint="curve")
    page = draw.warp(page, rng, rotation=10, scale=(0.85, 1.1), shear=0.15, shift=2)
    paper = np.full(3, rng.uniform(200, 250))
    canvas = draw.blend(draw.background(rng, paper, strength=8), draw.to_mask(page), rng.uniform(0, 60, 3))
    return draw.photograph(rng, canvas, blur=0.5, noise=5)


def build() -> ImageTask:
    """The whole task."""
    return draw.drawn_task("strokes", CLASS_NAMES, draw_character, PER_CLASS, source="drawn by this suite")
