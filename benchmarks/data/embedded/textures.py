"""textures: procedural patterns in random colours, scales and directions."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.data.embedded import draw
from benchmarks.data.images import ImageTask

PER_CLASS = (125, 28, 60)
_SUPER = 2 * draw.SIDE  # px, drawing side before shrinking
Floats = draw.Floats
# (u, v, generator) -> value 0..1 per pixel; u and v count periods of the pattern.
Pattern = Callable[[Floats, Floats, np.random.Generator], Floats]


def _stripes(u: Floats, _v: Floats, rng: np.random.Generator) -> Floats:
    return _ink(u % 1 < rng.uniform(0.3, 0.7))


def _checks(u: Floats, v: Floats, _rng: np.random.Generator) -> Floats:
    return _ink((u % 1 < 0.5) ^ (v % 1 < 0.5))


def _dots(u: Floats, v: Floats, rng: np.random.Generator) -> Floats:
    return _ink(np.hypot(u % 1 - 0.5, v % 1 - 0.5) < rng.uniform(0.22, 0.42))


def _rings(u: Floats, v: Floats, rng: np.random.Generator) -> Floats:
    return _ink(np.hypot(u - rng.uniform(-1, 1), v - rng.uniform(-1, 1)) % 1 < rng.uniform(0.3, 0.7))


def _waves(u: Floats, v: Floats, rng: np.random.Generator) -> Floats:
    bend = rng.uniform(0.15, 0.3) * np.sin(2 * np.pi * v * rng.uniform(0.3, 0.45))
    return _ink((u + bend) % 1 < rng.uniform(0.3, 0.7))


def _zigzag(u: Floats, v: Floats, rng: np.random.Generator) -> Floats:
    bend = rng.uniform(0.7, 1.2) * np.abs(v * rng.uniform(0.6, 0.8) % 1 - 0.5)
    return _ink((u + bend) % 1 < rng.uniform(0.3, 0.7))


def _grid(u: Floats, v: Floats, rng: np.random.Generator) -> Floats:
    width = rng.uniform(0.15, 0.35)
    return _ink((u % 1 < width) | (v % 1 < width))


def _bricks(u: Floats, v: Floats, rng: np.random.Generator) -> Floats:
    width = rng.uniform(0.12, 0.25)
    row = np.floor(v * 1.4)
    return _ink((v * 1.4 % 1 < width * 1.4) | ((u * 0.8 + row / 2) % 1 < width * 0.8))


def _hexagons(u: Floats, v: Floats, rng: np.random.Generator) -> Floats:
    """Honeycomb: ink where the two nearest centres of a triangular lattice are about equally far."""
    height = np.sqrt(3) / 2  # of a row; every other row is shifted by half a period
    distances = []
    for shift, rise in ((0.0, 0.0), (0.5, height)):
        across = np.abs((u - shift) % 1 - 0.5)
        along = (v - rise) % (2 * height) - height
        # The next centre of the same row may be the second nearest of all.
        distances += [np.hypot(across, along), np.hypot(1 - across, along)]
    nearest = np.sort(np.stack(distances), axis=0)
    return _ink(nearest[1] - nearest[0] < rng.uniform(0.15, 0.3))


def _weave(u: Floats, v: Floats, rng: np.random.Generator) -> Floats:
    """Ribbons that pass over and under each other in turn, lighter along their middle."""
    over = (np.floor(u) + np.floor(v)) % 2 == 0
    across = np.where(over, u % 1, v % 1)
    profile = np.sin(np.pi * across) ** rng.uniform(0.6, 1.5)
    return np.asarray(profile)


def _marble(u: Floats, _v: Floats, rng: np.random.Generator) -> Floats:
    """Veins: a sine whose phase is stirred by noise of several octaves."""
    stir = sum(_noise(rng, cells) / cells for cells in (3, 6, 12)) * rng.uniform(7, 11)
    return np.asarray(0.5 + 0.5 * np.sin(np.pi * u + stir * np.pi))


def _speckle(u: Floats, _v: Floats, rng: np.random.Generator) -> Floats:
    cells = int(np.clip(np.ptp(u) * rng.uniform(1.2, 2), 5, 20))
    return _ink(_noise(rng, cells) > rng.uniform(0.5, 0.62))


PATTERNS: dict[str, Pattern] = {
    "stripes": _stripes,
    "checks": _checks,
    "dots": _dots,
    "rings": _rings,
    "waves": _waves,
    "zigzag": _zigzag,
    "grid": _grid,
    "bricks": _bricks,
    "hexagons": _hexagons,
    "weave": _weave,
    "marble": _marble,
    "speckle": _speckle,
}
CLASS_NAMES = tuple(PATTERNS)


def draw_texture(label: int, rng: np.random.Generator) -> draw.Pixels:
    """One (32, 32, 3) image of texture `label`."""
    axis = np.linspace(-0.5, 0.5, _SUPER) * rng.uniform(3.2, 4.6)
    angle = rng.uniform(-0.35, 0.35)
    cos, sin = np.cos(angle), np.sin(angle)
    u = cos * axis[None, :] - sin * axis[:, None] + rng.uniform()
    v = sin * axis[None, :] + cos * axis[:, None] + rng.uniform()
    v *= rng.uniform(0.8, 1.25)
    value = PATTERNS[CLASS_NAMES[label]](u, v, rng)
    mask = draw.to_mask(Image.fromarray((value * 255).astype(np.uint8)))

    ground = draw.random_colour(rng)
    ink = draw.contrasting_colour(rng, ground, gap=95)
    canvas = draw.background(rng, ground, strength=12)
    canvas = draw.blend(canvas, mask, draw.background(rng, ink, strength=12))
    return draw.photograph(rng, canvas, blur=0.5, noise=6)


def build() -> ImageTask:
    """The whole task."""
    return draw.drawn_task("textures", CLASS_NAMES, draw_texture, PER_CLASS, source="drawn by this suite")


def _ink(inside: NDArray[np.bool_]) -> Floats:
    return inside.astype(np.float64)


def _noise(rng: np.random.Generator, cells: int) -> Floats:
    """(64, 64) smooth values 0..1."""
    return draw.smooth_noise(rng, cells, _SUPER)[..., 0]
