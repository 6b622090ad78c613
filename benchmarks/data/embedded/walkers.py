"""walkers: grey crops with or without a standing or walking figure, in the role of Daimler pedestrians."""

import numpy as np
from PIL import Image, ImageDraw

from benchmarks.data.embedded import draw
from benchmarks.data.images import ImageTask

CLASS_NAMES = ("no walker", "walker")
PER_CLASS = (400, 100, 250)
_SUPER = 4 * draw.SIDE  # px, drawing side before shrinking


def draw_scene(label: int, rng: np.random.Generator) -> draw.Pixels:
    """One (32, 32, 3) grey street scene of posts and clutter; in the second class someone is in front of it."""
    ground = np.full(3, rng.uniform(60, 190))
    canvas = draw.background(rng, ground, strength=45)
    for _ in range(rng.integers(2, 6)):
        canvas = draw.blend(canvas, draw.clutter(rng, 1), np.full(3, rng.uniform(20, 230)))
    mask = _figure(rng) if label else _post(rng)
    shade = ground + rng.choice((-1, 1)) * rng.uniform(35, 70)
    canvas = draw.blend(canvas, mask, draw.background(rng, shade, strength=20))
    grey = canvas.mean(axis=2, keepdims=True) * rng.uniform(0.7, 1.1)
    return draw.photograph(rng, np.repeat(grey, 3, axis=2), blur=1.2, noise=12)


def build() -> ImageTask:
    """The whole task."""
    return draw.drawn_task("walkers", CLASS_NAMES, draw_scene, PER_CLASS, source="drawn by this suite")


def _figure(rng: np.random.Generator) -> draw.Floats:
    """Mask of head, trunk, arms and legs; the gait is the angle of the legs."""
    image = Image.new("L", (_SUPER, _SUPER))
    pen = ImageDraw.Draw(image)
    x, hip, width = _SUPER / 2, _SUPER * 0.55, int(rng.integers(9, 14))
    pen.ellipse((x - 9, 14, x + 9, 34), fill=255)
    pen.line((x, 34, x, hip), fill=255, width=2 * width)
    for swing in rng.uniform(0, 0.5) * np.array([-1, 1]):
        pen.line((x, hip, x + 50 * np.sin(swing), hip + 48 * np.cos(swing)), fill=255, width=width)
        pen.line((x, 40, x - 36 * np.sin(swing * 1.2), 40 + 34 * np.cos(swing)), fill=255, width=width - 3)
    return draw.to_mask(draw.warp(image, rng, rotation=5, scale=(0.75, 1.0), shift=4))


def _post(rng: np.random.Generator) -> draw.Floats:
    """Mask of what walkers are mistaken for: a post, a trunk with branches, or nothing."""
    image = Image.new("L", (_SUPER, _SUPER))
    pen = ImageDraw.Draw(image)
    x, width = _SUPER / 2, int(rng.integers(8, 26))
    kind = rng.integers(3)
    if kind:
        pen.line((x, 15, x, _SUPER - 15), fill=255, width=width)
    if kind == 2:
        for side in (-1, 1):
            pen.line((x, 50, x + side * rng.uniform(20, 45), rng.uniform(10, 40)), fill=255, width=width // 2 + 2)
    return draw.to_mask(draw.warp(image, rng, rotation=8, scale=(0.75, 1.0), shift=4))
