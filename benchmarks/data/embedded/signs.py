"""signs: traffic-like signs (form x colour x number or pictogram), in the role of GTSRB."""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw

from benchmarks.data.embedded import draw
from benchmarks.data.embedded.fonts import text_image
from benchmarks.data.images import ImageTask

CLASS_NAMES = (
    "limit 20", "limit 30", "limit 50", "limit 60", "limit 80", "limit 90",
    "no entry", "no vehicles", "end of limits", "stop", "give way", "priority",
    "danger", "crossroads", "bend left", "bend right",
    "ahead only", "left only", "right only", "roundabout",
)  # fmt: skip
PER_CLASS = (70, 18, 40)
_SUPER = 4 * draw.SIDE  # px, drawing side before shrinking
_RED, _BLUE, _WHITE, _BLACK, _YELLOW = (
    (195, 25, 35), (25, 75, 170), (240, 240, 235), (20, 20, 20), (245, 190, 20),
)  # fmt: skip
Colour = tuple[int, int, int]
# A bent arrow and an upright arrow in units of the sign's radius, y down.
_UP = ((-0.11, 0.6), (-0.11, -0.15), (-0.35, -0.15), (0.0, -0.65), (0.35, -0.15), (0.11, -0.15), (0.11, 0.6))
_LEFT = (
    (0.42, 0.5), (0.2, 0.5), (0.2, 0.0), (-0.15, 0.0), (-0.15, 0.25), (-0.65, -0.12),
    (-0.15, -0.48), (-0.15, -0.22), (0.42, -0.22),
)  # fmt: skip
_BEND = (
    (0.25, 0.45), (0.08, 0.45), (0.08, 0.12), (-0.12, -0.08), (-0.28, 0.05), (-0.3, -0.4),
    (0.12, -0.38), (0.02, -0.2), (0.25, 0.04),
)  # fmt: skip


def draw_sign(label: int, rng: np.random.Generator) -> draw.Pixels:
    """One (32, 32, 3) image of sign `label` under random light, viewpoint, dirt and surroundings."""
    sign = _plate(CLASS_NAMES[label])
    sign = draw.warp(sign, rng, rotation=12, scale=(0.7, 1.0), shear=0.15, shift=3, skew=0.07)
    small = np.asarray(sign.reduce(_SUPER // draw.SIDE), np.float64)
    ground = draw.random_colour(rng)
    canvas = draw.background(rng, ground, strength=70)
    for _ in range(rng.integers(1, 5)):
        canvas = draw.blend(canvas, draw.clutter(rng, 1), draw.random_colour(rng))
    canvas = draw.blend(canvas, small[..., 3] / 255, small[..., :3])
    if rng.random() < 0.25:
        canvas = draw.blend(canvas, draw.clutter(rng, 1) * 0.7, draw.random_colour(rng))
    light = rng.uniform(0.4, 1.1) + rng.uniform(0, 0.35) * draw.ramp(rng)[..., None]
    tint = rng.uniform(0.85, 1.15, 3)
    haze = rng.uniform(0, 60)
    return draw.photograph(rng, canvas * light * tint + haze, blur=1.1, noise=14)


def build() -> ImageTask:
    """The whole task."""
    return draw.drawn_task(
        "signs", CLASS_NAMES, draw_sign, PER_CLASS,
        source="drawn by this suite; numbers in DejaVu Sans from the matplotlib wheel (free)",
    )  # fmt: skip


def _plate(name: str) -> Image.Image:
    """The upright sign `name` as an RGBA image, transparent around it."""
    if name.startswith("limit"):
        return _prohibition(lambda image: _write(image, name.removeprefix("limit "), 58, _BLACK))
    if name == "no vehicles":
        return _prohibition(lambda _image: None)
    if name == "no entry":
        return _disc(_RED, lambda image: _polygon(image, _WHITE, _box(0.62, 0.17)))
    if name == "end of limits":
        return _disc(_WHITE, _draw_end_bars)
    if name == "stop":
        image = _blank(_RED)
        corners = [(np.cos(a), np.sin(a)) for a in np.pi / 8 + np.arange(8) * np.pi / 4]
        _polygon(image, _WHITE, corners)
        _polygon(image, _RED, [(0.9 * x, 0.9 * y) for x, y in corners])
        _write(image, "STOP", 38, _WHITE)
        return image
    if name == "priority":
        image = _blank(_WHITE)
        diamond = [(0.0, -1.0), (1.0, 0.0), (0.0, 1.0), (-1.0, 0.0)]
        for size, colour in ((1.0, _WHITE), (0.92, _BLACK), (0.87, _WHITE), (0.62, _YELLOW)):
            _polygon(image, colour, [(size * x, size * y) for x, y in diamond])
        return image
    if name in ("give way", "danger", "crossroads", "bend left", "bend right"):
        return _triangle(name)
    return _disc(_BLUE, lambda image: _draw_mandatory(image, name))


def _prohibition(draw_content: Callable[[Image.Image], None]) -> Image.Image:
    """A white disc with a red rim and the content that `draw_content` adds."""
    image = _blank(_RED)
    _circle(image, 1.0, _RED)
    _circle(image, 0.76, _WHITE)
    draw_content(image)
    return image


def _disc(colour: Colour, draw_content: Callable[[Image.Image], None]) -> Image.Image:
    """A disc of one colour with a thin white rim and the content that `draw_content` adds."""
    image = _blank(_WHITE)
    _circle(image, 1.0, _WHITE)
    _circle(image, 0.94, colour)
    draw_content(image)
    return image


def _triangle(name: str) -> Image.Image:
    """The red-rimmed triangles: point down and empty for "give way", else point up with a pictogram."""
    image = _blank(_RED)
    flip = -1 if name == "give way" else 1
    for size, colour in ((1.0, _RED), (0.66, _WHITE)):
        corners = ((0.0, -1.0), (0.95, 0.65), (-0.95, 0.65))
        # Shrinking about the centroid (height 0.1) keeps the rim equally wide on all sides.
        _polygon(image, colour, [(size * x, flip * (size * (y - 0.1) + 0.1)) for x, y in corners])
    if name == "danger":
        _polygon(image, _BLACK, ((-0.12, -0.32), (0.12, -0.32), (0.07, 0.18), (-0.07, 0.18)))
        _polygon(image, _BLACK, [(0.1 * np.cos(a), 0.34 + 0.1 * np.sin(a)) for a in np.arange(12) * np.pi / 6])
    elif name == "crossroads":
        for angle in (np.pi / 4, -np.pi / 4):
            cos, sin = np.cos(angle), np.sin(angle)
            _polygon(image, _BLACK, [(cos * x - sin * y, sin * x + cos * y + 0.12) for x, y in _box(0.42, 0.09)])
    elif name.startswith("bend"):
        side = 1 if name == "bend left" else -1
        _polygon(image, _BLACK, [(side * x, y + 0.05) for x, y in _BEND])
    return image


def _draw_end_bars(image: Image.Image) -> None:
    for offset in (-0.24, 0.0, 0.24):
        _polygon(image, _BLACK, [(x - y + offset, -x - y + offset) for x, y in _box(0.6, 0.05)])


def _draw_mandatory(image: Image.Image, name: str) -> None:
    """The white arrow or arrows of a blue disc."""
    if name == "roundabout":
        for turn in (0.0, 2 * np.pi / 3, 4 * np.pi / 3):
            along = np.linspace(0, 1.3, 8) + turn
            arc = [(r * np.cos(a), r * np.sin(a)) for r, angles in ((0.65, along), (0.42, along[::-1])) for a in angles]
            head = [(r * np.cos(a), r * np.sin(a)) for r, a in ((0.82, turn), (0.25, turn), (0.55, turn - 0.55))]
            _polygon(image, _WHITE, arc)
            _polygon(image, _WHITE, head)
    elif name == "ahead only":
        _polygon(image, _WHITE, _UP)
    else:
        side = 1 if name == "left only" else -1
        _polygon(image, _WHITE, [(side * x, y) for x, y in _LEFT])


def _blank(rim: Colour) -> Image.Image:
    """A transparent plate; its hidden colour is the rim's, lest smoothing draws a dark seam."""
    return Image.new("RGBA", (_SUPER, _SUPER), (*rim, 0))


def _circle(image: Image.Image, radius: float, colour: Colour) -> None:
    centre = _SUPER / 2
    reach = radius * (centre - 2)
    box = (centre - reach, centre - reach, centre + reach, centre + reach)
    ImageDraw.Draw(image).ellipse(box, fill=(*colour, 255))


def _polygon(
    image: Image.Image, colour: Colour, points: list[tuple[float, float]] | tuple[tuple[float, float], ...]
) -> None:
    """Fill the polygon of `points` given in units of the sign's radius about its centre, y down."""
    centre = _SUPER / 2
    path = [(centre + x * (centre - 2), centre + y * (centre - 2)) for x, y in points]
    ImageDraw.Draw(image).polygon(path, fill=(*colour, 255))


def _box(width: float, height: float) -> list[tuple[float, float]]:
    """Corners of the box that spans +-width and +-height."""
    return [(-width, -height), (width, -height), (width, height), (-width, height)]


def _write(image: Image.Image, text: str, size: int, colour: Colour) -> None:
    ink = text_image(text, "DejaVuSans-Bold.ttf", size, _SUPER)
    image.paste((*colour, 255), mask=ink)
