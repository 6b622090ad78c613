"""photos: crops of the real photographs inside the scikit-image and scikit-learn wheels; class = photograph.

Each photograph is shrunk to a short side of 288 px (never enlarged) and cut into a grid of 48 px tiles. A
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
    "brick": ("skimage", "data/brick.png"),
    "cat": ("skimage", "data/chelsea.png"),
    "coins": ("skimage", "data/coins.png"),
    "galaxies": ("skimage", "data/hubble_deep_field.jpg"),
    "gravel": ("skimage", "data/gravel.png"),
    "page": ("skimage", "data/page.png"),
    "retina": ("skimage", "data/retina.jpg"),
    "text": ("skimage", "data/text.png"),
    "tissue": ("skimage", "data/ihc.png"),
    "china": ("sklearn", "datasets/images/china.jpg"),
    "flower": ("sklearn", "datasets/images/flower.jpg"),
}
CLASS_NAMES = tuple(PHOTOS)
SOURCE = "photographs of the scikit-image wheel (free of rights) and scikit-learn wheel (CC BY 2.0)"
SPLIT_SHARES = {"train": 0.6, "val": 0.15, "test": 0.25}
PER_CLASS = {"train": 130, "val": 30, "test": 60}
_SHORT_SIDE = 288  # px
TILE = 48  # px
_FLAT = 14.0  # grey levels; a crop with a smaller standard deviation shows nothing (sky, night)


@cache
def photo(label: int) -> Image.Image:
    """Photograph `label` in RGB, shrunk to a short side of at most 288 px."""
    package, file = PHOTOS[CLASS_NAMES[label]]
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"No module named {package!r}", name=package)
    with Image.open(Path(spec.origin).parent / file) as image:
        rgb = image.convert("RGB")
    shrink = min(1.0, _SHORT_SIDE / min(rgb.size))
    return rgb.resize((round(rgb.width * shrink), round(rgb.height * shrink)), Image.Resampling.LANCZOS)


def tiles(label: int, split: str) -> list[tuple[int, int]]:
    """Left upper corners (x, y) in px of the 48 px tiles of photograph `label` that belong to `split`."""
    width, height = photo(label).size
    corners = [(x, y) for y in range(0, height - TILE + 1, TILE) for x in range(0, width - TILE + 1, TILE)]
    order = draw.generator("photos", "tiles", CLASS_NAMES[label]).permutation(len(corners))
    bounds = np.rint(np.cumsum([0.0, *SPLIT_SHARES.values()]) * len(corners)).astype(int)
    place = list(SPLIT_SHARES).index(split)
    return [corners[i] for i in order[bounds[place] : bounds[place + 1]]]


def draw_crop(label: int, rng: np.random.Generator, split: str) -> draw.Pixels:
    """One (32, 32, 3) crop of photograph `label` from the tiles of `split`, flipped and recoloured."""
    image, corners = photo(label), tiles(label, split)
    while True:
        x, y = corners[rng.integers(len(corners))]
        side = rng.uniform(0.8, 1) * TILE
        left, top = rng.uniform(0, TILE - side, 2)
        # Cut the tile out first: resize(box=...) also reads a few pixels around its box.
        tile = image.crop((x, y, x + TILE, y + TILE))
        box = (left, top, left + side, top + side)
        crop = tile.resize((draw.SIDE, draw.SIDE), Image.Resampling.BILINEAR, box=box)
        canvas = np.asarray(crop, np.float64)
        if canvas.mean(axis=2).std() >= _FLAT:
            break
    if rng.random() < 0.5:
        canvas = canvas[:, ::-1]
    grey = canvas.mean(axis=2, keepdims=True)
    # Colour alone would give the photograph away: weaken it, then tint and relight at random.
    canvas = grey + (canvas - grey) * rng.uniform(0.7, 1)
    canvas = (canvas - grey.mean()) * rng.uniform(0.85, 1.15) + 0.7 * grey.mean() + rng.uniform(15, 60)
    canvas = canvas * rng.uniform(0.95, 1.05, 3)
    return draw.photograph(rng, canvas, blur=0.5, noise=4)


def build() -> ImageTask:
    """The whole task."""
    train, val, test = (
        draw.drawn_split("photos", split, partial(draw_crop, split=split), len(CLASS_NAMES), count)
        for split, count in PER_CLASS.items()
    )
    return ImageTask(name="photos", class_names=CLASS_NAMES, train=train, val=val, test=test, source=SOURCE)
