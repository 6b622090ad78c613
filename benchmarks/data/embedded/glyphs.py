"""glyphs62, the base task: the characters 0-9A-Za-z in many fonts, colours, poses and backgrounds."""

import string

import numpy as np

from benchmarks.data.embedded import draw
from benchmarks.data.embedded.fonts import FONT_FILES, text_image
from benchmarks.data.images import ImageTask

CLASS_NAMES = tuple(string.digits + string.ascii_uppercase + string.ascii_lowercase)
PER_CLASS = (200, 5, 12)


def draw_glyph(label: int, rng: np.random.Generator) -> draw.Pixels:
    """One (32, 32, 3) image of character `label`.

    Backgrounds, fills and clutter are more varied than reading needs, so that the features of a net
    trained on them serve other tasks too.
    """
    file = FONT_FILES[rng.integers(len(FONT_FILES))]
    stroke = int(rng.integers(1, 3)) if rng.random() < 0.2 else 0
    glyph = text_image(CLASS_NAMES[label], file, size=52, side=2 * draw.SIDE, stroke=stroke)
    glyph = draw.warp(glyph, rng, rotation=12, scale=(0.95, 1.2), shear=0.15, shift=2, skew=0.03)

    ground = draw.random_colour(rng)
    ink = draw.contrasting_colour(rng, ground, gap=70)
    canvas = draw.background(rng, ground, strength=40)
    if rng.random() < 0.3:
        canvas = draw.blend(canvas, draw.clutter(rng, int(rng.integers(1, 4))), draw.random_colour(rng))
    canvas = draw.blend(canvas, draw.to_mask(glyph), draw.background(rng, ink, strength=25))
    return draw.photograph(rng, canvas, blur=0.9, noise=12)


def build() -> ImageTask:
    """The whole base task."""
    return draw.drawn_task(
        "glyphs62", CLASS_NAMES, draw_glyph, PER_CLASS,
        source="drawn by this suite with fonts of the matplotlib wheel (DejaVu, STIX, Computer Modern; free)",
    )  # fmt: skip
