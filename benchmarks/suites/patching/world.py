"""Nets and tasks of the patching tables."""

from benchmarks.data.packaged.listing import REAL
from benchmarks.records import names
from benchmarks.worlds.world import TaskSet

TABLE1_ARCHITECTURES = names.TABLE1_ARCHITECTURES
TABLE2_ARCHITECTURES = names.TABLE2_ARCHITECTURES
REAL_TASKS = tuple(REAL)

PATCHING_TASKS = TaskSet(
    embedded=names.PATCH_TASKS, paper=("stl10", "resisc45", "gtsrb", "flowers", "cars", "aircraft"), real=REAL_TASKS
)
"""Tables 2 and 10."""

DECATHLON = TaskSet(
    embedded=names.DECATHLON_TASKS,
    paper=tuple(
        f"decathlon_{name}"
        for name in ("flowers", "aircraft", "ucf101", "gtsrb", "dtd", "svhn", "cifar100", "omniglot", "daimler_ped")
    ),
    real=REAL_TASKS,
)
"""Table 1."""

JOINT_TASKS = TaskSet(
    embedded=("textures+photos+shapes", "signs+mnist5k+photos", "shapes+mnist5k+signs"),
    paper=("aircraft+flowers+stl10", "gtsrb+cars+flowers", "stl10+cars+gtsrb"),
    real=(
        "real:solar_cells+real:mnist5k+real:photos",
        "real:optdigits+real:photos+real:solar_cells_grade",
        "real:photos+real:solar_cells+real:optdigits",
    ),
    grouping="joint",
)
"""Table 3."""
