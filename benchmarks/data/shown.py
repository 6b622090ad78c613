"""Single test images of the tasks that code draws or packages carry, to be shown in figures.

Reports import this without torch; it is loaded when images are asked for.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from delta_core.training.errors import UserError


@dataclass(frozen=True, kw_only=True)
class ShownImages:
    """Some images of one test split."""

    images: dict[int, NDArray[np.uint8]]
    """Place in the split -> (H, W, 3), as it is before the net's own resize and crop."""
    class_names: tuple[str, ...]
    """In the order of the class indices."""
    sha: str
    """Of the whole task, as its runs recorded it (`Row.data_sha`)."""


def shown_images(task: str, places: Iterable[int], *, cache: Path) -> ShownImages | None:
    """Images of a task by their places in its test split; None where this machine does not have them.

    Args:
        task: as rows call it.
        places: which images.
        cache: folder of drawn data; a task that is not there is drawn and left there.
    """
    from benchmarks.data.embedded import ALL_TASKS, load_embedded
    from benchmarks.data.packaged.listing import PREFIXES, packaged_task

    if task in ALL_TASKS:
        drawn = load_embedded(task, cache_dir=cache)
        images = {place: drawn.test.images[place] for place in places}
        return ShownImages(images=images, class_names=drawn.class_names, sha=drawn.sha256()[:12])
    if not task.startswith(PREFIXES):
        return None
    try:
        packaged = packaged_task(task)
        parts, sha = packaged.read(cache)
    except UserError:  # a package is not there
        return None
    test, _ = parts["test"]
    images = {place: np.asarray(test[place][0]) for place in places}
    return ShownImages(images=images, class_names=packaged.class_names, sha=sha)
