"""Nets and tasks of the patching tables."""

from benchmarks.records.names import DECATHLON_TASKS, PATCH_TASKS
from benchmarks.worlds.world import TaskSet

TABLE2_ARCHITECTURES = ("resnet18", "resnet34", "resnet50", "convnext_tiny")
TABLE1_ARCHITECTURES = ("resnet18",)

PATCHING_TASKS = TaskSet(embedded=PATCH_TASKS, paper=("stl10", "resisc45", "gtsrb", "flowers", "cars", "aircraft"))
"""Tables 2 and 10."""

DECATHLON = TaskSet(
    embedded=DECATHLON_TASKS,
    paper=tuple(
        f"decathlon_{name}"
        for name in ("flowers", "aircraft", "ucf101", "gtsrb", "dtd", "svhn", "cifar100", "omniglot", "daimler_ped")
    ),
)
"""Table 1."""

JOINT_TASKS = TaskSet(
    embedded=("textures+photos+shapes", "signs+mnist5k+photos", "shapes+mnist5k+signs"),
    paper=("aircraft+flowers+stl10", "gtsrb+cars+flowers", "stl10+cars+gtsrb"),
    grouping="joint",
)
"""Table 3."""
