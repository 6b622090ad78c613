"""photos: crops of the real photographs inside the scikit-image and scikit-learn wheels; class = photograph.

Each photograph is shrunk to a short side of 240 px (never enlarged) and cut into a grid of 48 px tiles. A
seeded shuffle gives every tile to exactly one of train, val and test (about 60/15/25 %), and a crop never
leaves its tile: pixels of one split occur in no other.
"""

from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.data.embedded import draw
from benchmarks.data.images import ImageTask

# class name -> (package, file); read as files because skimage.data may download what a wheel lacks.
PHOTOS = {
    "astronaut": ("skimage", "data/astronaut.png"),
    "brick": ("skimage", "data/brick.png"),
    "camera": ("skimage", "data/camera.png"),
    "cat": ("skimage", "data/chelsea.png"),
    "coffee": ("skimage", "data/coffee.png"),
    "coins": ("skimage", "data/coins.png"),
    "galaxies": ("skimage", "data/hubble_deep_field.jpg"),
    "grass": ("skimage", "data/grass.png"),
    "gravel": ("skimage", "data/gravel.png"),
    "moon": ("skimage", "data/moon.png"),
    "motorcycle": ("skimage", "data/motorcycle_left.png"),
    "page": ("skimage", "data/page.png"),
    "text": ("skimage", "data/text.png"),
    "tissue": ("skimage", "data/ihc.png"),
    "china": ("sklearn", "datasets/images/china.jpg"),
    "flower": ("sklearn", "datasets/images/flower.jpg"),
}
CLASS_NAMES = tuple(PHOTOS)
SPLIT_SHARES = {"train": 0.6, "val": 0.15, "test": 0.25}
PER_CLASS = {"train": 80, "val": 20, "test": 45}
_SHORT_SIDE = 240  # px
_TILE = 48  # px
_FLAT = 8.0  # grey levels; a crop with a smaller standard deviation shows nothing (sky, night)


@cache
def photo(label: int) -> Image.Image:
    """Photograph `label` in RGB, shrunk to a short side of at most 240 px."""
    package, file = PHOTOS[CLASS_NAMES[label]]
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise ValueError(f"package {package!r} is not installed, expected for {file}; install the benchmarks' extras.")
    with Image.open(Path(spec.origin).parent / file) as image:
        rgb = image.convert("RGB")
    shrink = min(1.0, _SHORT_SIDE / min(rgb.size))
    return rgb.resize((round(rgb.width * shrink), round(rgb.height * shrink)), Image.Resampling.LANCZOS)


def tiles(label: int, split: str) -> list[tuple[int, int]]:
    """Left upper corners (x, y) in px of the 48 px tiles of photograph `label` that belong to `split`."""
    width, height = photo(label).size
    corners = [(x, y) for y in range(0, height - _TILE + 1, _TILE) for x in range(0, width - _TILE + 1, _TILE)]
    order = draw.generator("photos", "tiles", CLASS_NAMES[label]).permutation(len(corners))
    bounds = np.rint(np.cumsum([0.0, *SPLIT_SHARES.values()]) * len(corners)).astype(int)
    place = list(SPLIT_SHARES).index(split)
    return [corners[i] for i in order[bounds[place] : bounds[place + 1]]]


def draw_crop(label: int, rng: np.random.Generator, split: str) -> draw.Pixels:
    """One (32, 32, 3) crop of photograph `label` from the tiles of `split`, flipped and recoloured at random."""
    image, corners = photo(label), tiles(label, split)
    while True:
        x, y = corners[rng.integers(len(corners))]
        side = rng.uniform(0.67, 1) * _TILE
        left, top = x + rng.uniform(0, _TILE - side), y + rng.uniform(0, _TILE - side)
        # box= keeps resize from reading beyond the crop and thereby beyond the tile.
        crop = image.resize(
            (draw.SIDE, draw.SIDE), Image.Resampling.BILINEAR, box=(left, top, left + side, top + side)
        )
        canvas = np.asarray(crop, np.float32)
        if canvas.mean(axis=2).std() >= _FLAT:
            break
    if rng.random() < 0.5:
        canvas = canvas[:, ::-1]
    grey = canvas.mean(axis=2, keepdims=True)
    # Colour alone would give the photograph away: weaken it, then tint and relight at random.
    canvas = grey + (canvas - grey) * rng.uniform(0, 0.7)
    canvas = (canvas - grey.mean()) * rng.uniform(0.7, 1.4) + rng.uniform(80, 175)
    canvas = canvas * rng.uniform(0.75, 1.25, 3)
    return draw.photograph(rng, np.asarray(canvas, np.float32), blur=0.5, noise=6)


def build() -> ImageTask:
    """The whole task."""
    train, val, test = (
        draw.drawn_split("photos", split, partial(draw_crop, split=split), len(CLASS_NAMES), count)
        for split, count in PER_CLASS.items()
    )
    return ImageTask(
        name="photos", class_names=CLASS_NAMES, train=train, val=val, test=test,
        source="photographs in the scikit-image wheel (public domain or free) and scikit-learn wheel (CC BY 2.0)",
    )  # fmt: skip
