"""planes: aircraft seen from above, alike but for four details, in the role of FGVC-Aircraft."""

import itertools

import numpy as np
from PIL import Image, ImageDraw

from benchmarks.data.embedded import draw
from benchmarks.data.images import ImageTask

_DETAILS = tuple(itertools.product(("straight", "swept"), ("short", "long"), ("two", "four"), ("small", "large")))
"""Wings, span, engines, tail: every combination is a class, so each class has four that differ in one detail."""
CLASS_NAMES = tuple(f"{wings} {span} wings, {engines} engines, {tail} tail" for wings, span, engines, tail in _DETAILS)
PER_CLASS = (60, 15, 50)
_SUPER = 4 * draw.SIDE  # px, drawing side before shrinking
Points = list[tuple[float, float]]


def draw_plane(label: int, rng: np.random.Generator) -> draw.Pixels:
    """One (32, 32, 3) image of plane `label` in some colour, direction and light, above some ground."""
    ground = draw.random_colour(rng)
    paint = draw.contrasting_colour(rng, ground, gap=80)
    canvas = draw.background(rng, ground, strength=35)
    plane = draw.warp(_silhouette(label), rng, rotation=35, scale=(0.85, 1.05), shear=0.08, shift=1.5, skew=0.03)
    shade = draw.warp(plane, rng, rotation=0, scale=(1.0, 1.0), shift=3)
    canvas = draw.blend(canvas, 0.35 * draw.to_mask(shade), np.zeros(3))
    canvas = draw.blend(canvas, draw.to_mask(plane), draw.background(rng, paint, strength=20))
    return draw.photograph(rng, canvas, blur=0.5, noise=8)


def build() -> ImageTask:
    """The whole task."""
    return draw.drawn_task("planes", CLASS_NAMES, draw_plane, PER_CLASS, source="drawn by this suite")


def _silhouette(label: int) -> Image.Image:
    """The plane heading upwards, white on black, in units of half the image about its centre, y down."""
    wings, span, engines, tail = _DETAILS[label]
    image = Image.new("L", (_SUPER, _SUPER))
    pen = ImageDraw.Draw(image)
    sweep = 0.35 if wings == "swept" else 0.02
    reach = 0.95 if span == "long" else 0.68
    fin = 0.42 if tail == "large" else 0.24
    pen.ellipse(_pixels([(-0.11, -0.92), (0.11, 0.92)]), fill=255)
    for side in (-1, 1):
        pen.polygon(_wing(side, root=-0.2, depth=0.3, reach=reach, sweep=sweep), fill=255)
        pen.polygon(_wing(side, root=0.62, depth=0.2, reach=fin, sweep=sweep / 2), fill=255)
        for share in (0.4,) if engines == "two" else (0.36, 0.7):
            x, y = side * share * reach, -0.2 + share * sweep
            pen.ellipse(_pixels([(x - 0.075, y - 0.16), (x + 0.075, y + 0.14)]), fill=255)
    return image


def _wing(side: int, *, root: float, depth: float, reach: float, sweep: float) -> list[tuple[float, float]]:
    """A wing that starts at height `root` of the fuselage, `depth` deep there and half as deep at its tip."""
    tip = root + sweep
    return _pixels([(0, root), (side * reach, tip), (side * reach, tip + depth / 2), (0, root + depth)])


def _pixels(points: Points) -> Points:
    return [((x + 1) * _SUPER / 2, (y + 1) * _SUPER / 2) for x, y in points]
