"""Unlabelled photographs for the base of scale real: square views of eight that packages carry.

What is left of an ImageNet net can be seen where it has something to say. Of the 21 photographs in the wheels of
scikit-image, scikit-learn and matplotlib these are the ones whose object ImageNet has, and on whose views
`tf_efficientnet_lite0` names it: on 20 views its mean top-1 probability is 0.19 (daisy) to 0.91 (espresso). On grass,
gravel, coins, cells, pages and galaxies, and on solar cells, it is 0.05 to 0.15, spread over what it has never seen.
The cat, the temple and the flower are also among the eleven of the task `photos`, as small tiles.
"""

import hashlib
import random
from importlib.util import find_spec
from pathlib import Path

from PIL import Image, ImageOps
from torch.utils.data import Dataset

from benchmarks.data.packaged.task import missing_packages
from delta_core.training.data.image_files import read_image
from delta_core.training.errors import UserError
from delta_core.training.identity import derive_seed

NAME = "photographs"
PACKAGES = {"skimage": "scikit-image", "sklearn": "scikit-learn", "matplotlib": "matplotlib"}
"""Names of the packages as Python imports them -> as pip installs them."""
SOURCE = (
    "unlabelled photographs of the wheels of scikit-image (free of rights), scikit-learn (CC BY 2.0) and matplotlib "
    "(public domain)"
)
# What ImageNet calls the object: (package, file).
PHOTOGRAPHS = {
    "tripod": ("skimage", "data/camera.png"),
    "cat": ("skimage", "data/chelsea.png"),
    "espresso": ("skimage", "data/coffee.png"),
    "moped": ("skimage", "data/motorcycle_left.png"),
    "missile": ("skimage", "data/rocket.jpg"),
    "palace": ("sklearn", "datasets/images/china.jpg"),
    "daisy": ("sklearn", "datasets/images/flower.jpg"),
    "military uniform": ("matplotlib", "mpl-data/sample_data/grace_hopper.jpg"),
}
VIEWS = 25
"""Of each photograph."""
SHARE = (0.2, 1.0)
"""Of the largest square of a photograph that a view shows."""


class Photographs(Dataset[tuple[Image.Image]]):
    """The views, photograph by photograph; a half of them is mirrored."""

    def __init__(self) -> None:
        self.files = _files()

    def __getitem__(self, index: int) -> tuple[Image.Image]:
        name, number = list(PHOTOGRAPHS)[index // VIEWS], index % VIEWS
        image = read_image(self.files[name])
        drawn = random.Random(derive_seed(NAME, name, number))
        side = min(image.size) * drawn.uniform(*SHARE) ** 0.5
        left, top = (drawn.uniform(0, length - side) for length in image.size)
        view = image.crop((round(left), round(top), round(left + side), round(top + side)))
        return (ImageOps.mirror(view) if drawn.random() < 0.5 else view,)

    def __len__(self) -> int:
        return VIEWS * len(PHOTOGRAPHS)


def photographs_identity() -> str:
    """Hash of names, sizes and number of views.

    Raises:
        UserError: for a package that is not installed, or lacks its photograph.
    """
    digest = hashlib.sha256(f"{VIEWS}|{SHARE}\n".encode())
    for name, path in _files().items():
        digest.update(f"{name}|{path.stat().st_size}\n".encode())
    return digest.hexdigest()[:12]


def _files() -> dict[str, Path]:
    if missing := missing_packages(PACKAGES):
        raise UserError(f"The photographs of scale real are those of packages; run: pip install {' '.join(missing)}")
    found = {}
    for name, (package, file) in PHOTOGRAPHS.items():
        spec = find_spec(package)
        assert spec is not None and spec.origin is not None, "it is not missing"
        found[name] = Path(spec.origin).parent / file
        if not found[name].is_file():
            raise UserError(
                f"{found[name]} is missing; run: pip install --force-reinstall {PACKAGES[package]}",
            )
    return found
