"""clutter_digits: printed digits in colour among strokes and parts of other digits, in the role of SVHN."""

import numpy as np

from benchmarks.data.embedded import draw
from benchmarks.data.embedded.digits import CLASS_NAMES
from benchmarks.data.embedded.fonts import FONT_FILES, text_image
from benchmarks.data.images import ImageTask

PER_CLASS = (300, 40, 60)


def draw_digit(label: int, rng: np.random.Generator) -> draw.Pixels:
    """One (32, 32, 3) image of digit `label`; as on a house front, half of the images cut into a neighbour."""
    file = FONT_FILES[rng.integers(len(FONT_FILES))]
    side = 2 * draw.SIDE
    text = text_image(CLASS_NAMES[label], file, size=58, side=side, stroke=int(rng.integers(0, 3)))
    if rng.random() < 0.5:
        neighbour = text_image(CLASS_NAMES[rng.integers(10)], file, size=58, side=side)
        text.paste(255, (int(rng.choice((-44, 44))), 0), neighbour)
    text = draw.warp(text, rng, rotation=12, scale=(0.9, 1.25), shear=0.2, shift=2, skew=0.05)

    ground = draw.random_colour(rng)
    ink = draw.contrasting_colour(rng, ground, gap=60)
    canvas = draw.background(rng, ground, strength=40)
    if rng.random() < 0.5:
        canvas = draw.blend(canvas, draw.clutter(rng, int(rng.integers(1, 4))), draw.random_colour(rng))
    canvas = draw.blend(canvas, draw.to_mask(text), draw.background(rng, ink, strength=25))
    return draw.photograph(rng, canvas, blur=1.0, noise=12)


def build() -> ImageTask:
    """The whole domain."""
    return draw.drawn_task(
        "clutter_digits", CLASS_NAMES, draw_digit, PER_CLASS,
        source="drawn by this suite with fonts of the matplotlib wheel (DejaVu, STIX, Computer Modern; free)",
    )  # fmt: skip
