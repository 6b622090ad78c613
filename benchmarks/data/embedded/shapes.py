"""shapes: geometric shapes, filled or outlined, turned, partly hidden and amid distractors."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from benchmarks.data.embedded import draw
from benchmarks.data.images import ImageTask

CLASS_NAMES = (
    "triangle", "square", "pentagon", "hexagon", "circle", "semicircle",
    "star", "cross", "crescent", "heart", "arrow", "drop",
)  # fmt: skip
PER_CLASS = (125, 28, 60)
_SUPER = 4 * draw.SIDE  # px, drawing side before shrinking


def outline(label: int) -> NDArray[np.float64]:
    """(K, 2) corner points of the closed outline of shape `label`, within the unit circle."""
    name = CLASS_NAMES[label]
    turn = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    half = np.linspace(0, np.pi, 25)
    if name in ("triangle", "square", "pentagon", "hexagon"):
        corners = 3 + CLASS_NAMES.index(name)
        return _polar(np.ones(corners), 2 * np.pi * np.arange(corners) / corners)
    if name == "circle":
        return _polar(np.full(48, 0.9), turn)
    if name == "semicircle":
        return _polar(np.ones(25), half) - [0, 0.4]
    if name == "star":
        return _polar(np.tile([1.0, 0.45], 5), 2 * np.pi * np.arange(10) / 10)
    if name == "cross":
        arm = np.array([(0.3, 1.0), (0.3, 0.3), (1.0, 0.3)])
        return np.concatenate([arm @ _rotation(-quarter * np.pi / 2) for quarter in range(4)])
    if name == "crescent":
        inner = _polar(np.ones(25), half[::-1]) * [0.8, 0.5]
        return np.concatenate([_polar(np.ones(25), half) * [1, 1.15], inner]) - [0, 0.5]
    if name == "heart":
        x = 16 * np.sin(turn) ** 3
        y = 13 * np.cos(turn) - 5 * np.cos(2 * turn) - 2 * np.cos(3 * turn) - np.cos(4 * turn)
        return np.stack([x, y], axis=1) / 17
    if name == "arrow":
        points = [(-1, 0.25), (0.1, 0.25), (0.1, 0.75), (1, 0), (0.1, -0.75), (0.1, -0.25), (-1, -0.25)]
        return np.array(points, np.float64)
    return np.stack([np.cos(turn), 1.1 * np.sin(turn) * np.sin(turn / 2) ** 1.5], axis=1)  # drop


def draw_shape(label: int, rng: np.random.Generator) -> draw.Pixels:
    """One (32, 32, 3) image of shape `label`."""
    ground = draw.random_colour(rng)
    ink = draw.contrasting_colour(rng, ground, gap=90)
    canvas = draw.background(rng, ground, strength=18)
    for _ in range(rng.integers(0, 2)):
        canvas = draw.blend(canvas, draw.clutter(rng, 1), draw.random_colour(rng))
    mask = _shape_mask(label, rng)
    canvas = draw.blend(canvas, mask, draw.background(rng, ink, strength=15))
    if rng.random() < 0.2:
        canvas = draw.blend(canvas, draw.clutter(rng, 1), draw.random_colour(rng))
    return draw.photograph(rng, canvas, blur=0.6, noise=7)


def build() -> ImageTask:
    """The whole task."""
    return draw.drawn_task("shapes", CLASS_NAMES, draw_shape, PER_CLASS, source="drawn by this suite")


def _shape_mask(label: int, rng: np.random.Generator) -> draw.Floats:
    """Mask of the shape at a random pose, filled or as a thick outline."""
    radius = _SUPER * rng.uniform(0.34, 0.45)
    points = outline(label) @ _rotation(rng.uniform(-0.4, 0.4))
    # Unequal zoom along a random axis, so that angles and side lengths vary within a class.
    axis = _rotation(rng.uniform(0, np.pi))
    points = points @ axis * [1, rng.uniform(0.85, 1)] @ axis.T
    centre = _SUPER / 2 + rng.uniform(-1, 1, 2) * (_SUPER / 2 - radius)
    # Image rows run downwards, outlines upwards.
    path = [(float(x), float(y)) for x, y in points * [radius, -radius] + centre]
    image = Image.new("L", (_SUPER, _SUPER))
    pen = ImageDraw.Draw(image)
    if rng.random() < 0.5:
        pen.polygon(path, fill=255)
    else:
        pen.line([*path, *path[:2]], fill=255, width=int(rng.integers(8, 14)), joint="curve")
    return draw.to_mask(image)


def _polar(radius: NDArray[np.float64], angle: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)


def _rotation(angle: float) -> NDArray[np.float64]:
    return np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
