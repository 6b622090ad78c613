"""autos: cars seen from the side, alike but for four details, in the role of Stanford Cars."""

import itertools

import numpy as np
from PIL import Image, ImageDraw, ImageOps

from benchmarks.data.embedded import draw
from benchmarks.data.images import ImageTask

_DETAILS = tuple(itertools.product(("short", "long"), ("low", "high"), ("notch", "hatch"), ("small", "large")))
"""Bonnet, roof, rear, wheels: every combination is a class, so each class has four that differ in one detail."""
CLASS_NAMES = tuple(
    f"{bonnet} bonnet, {roof} roof, {rear}back, {wheels} wheels" for bonnet, roof, rear, wheels in _DETAILS
)
PER_CLASS = (60, 15, 50)
_SUPER = 4 * draw.SIDE  # px, drawing side before shrinking


def draw_auto(label: int, rng: np.random.Generator) -> draw.Pixels:
    """One (32, 32, 3) image of car `label` in some paint, light and street, heading left or right."""
    ground = draw.random_colour(rng)
    paint = draw.contrasting_colour(rng, ground, gap=80)
    canvas = draw.background(rng, ground, strength=35)
    car = _car(label)
    if rng.random() < 0.5:
        car = ImageOps.mirror(car)
    car = draw.warp(car, rng, rotation=8, scale=(0.85, 1.05), shear=0.08, shift=2, skew=0.03)
    body, glass, tyres = (draw.to_mask(part) for part in car.split())
    canvas = draw.blend(canvas, body, draw.background(rng, paint, strength=20))
    canvas = draw.blend(canvas, glass, rng.uniform(0.2, 0.8) * np.array([150.0, 190.0, 220.0]))
    canvas = draw.blend(canvas, tyres, np.full(3, 20.0))
    return draw.photograph(rng, canvas, blur=0.5, noise=8)


def build() -> ImageTask:
    """The whole task."""
    return draw.drawn_task("autos", CLASS_NAMES, draw_auto, PER_CLASS, source="drawn by this suite")


def _car(label: int) -> Image.Image:
    """The car heading left: body, windows and wheels as the three bands, in units of half the image, y down."""
    bonnet, roof, rear, wheels = _DETAILS[label]
    top = -0.42 if roof == "high" else -0.2
    front = -0.25 if bonnet == "long" else -0.55  # where the windscreen stands on the bonnet
    back = 0.88 if rear == "hatch" else 0.5  # where the rear window meets the body
    radius = 0.25 if wheels == "large" else 0.17
    roof_ends = (front + 0.3, back - (0.12 if rear == "hatch" else 0.25))
    outline = [(-0.95, 0.12), (front, 0.05), (roof_ends[0], top), (roof_ends[1], top), (back, 0.05), (0.93, 0.08)]
    outline += [(0.95, 0.45), (-0.97, 0.45)]
    window = [(front + 0.12, 0.03), (roof_ends[0] + 0.04, top + 0.09), (roof_ends[1] - 0.03, top + 0.09)]
    window += [(back - 0.1, 0.03)]
    bands = [Image.new("L", (_SUPER, _SUPER)) for _ in range(3)]
    body, glass, tyres = (ImageDraw.Draw(band) for band in bands)
    body.polygon(_pixels(outline), fill=255)
    glass.polygon(_pixels(window), fill=255)
    for x in (-0.58, 0.58):
        tyres.ellipse(_pixels([(x - radius, 0.45 - radius), (x + radius, 0.45 + radius)]), fill=255)
    return Image.merge("RGB", bands)


def _pixels(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    return [((x + 1) * _SUPER / 2, (y + 1) * _SUPER / 2) for x, y in points]
