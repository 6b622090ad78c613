"""What a rehearsal calls: the command lines of a first day on a GPU, cut in steps and pixels."""

from dataclasses import dataclass
from pathlib import Path

from benchmarks.tables import TABLES

STEPS = 2
"""Optimiser steps of a training; eight from scratch, which trains four times as long."""
IMAGE_SIZE = 64
"""Side that nets see, in pixels. At the paper's 224, most of Table 2 alone takes a quarter of an hour on two cores."""
CUT: dict[str, tuple[str, ...]] = {
    # DELTA's attention takes a pass for each of 3,840 filters of ResNet-50: an hour and a half on two cores at 224.
    "table5": ("--steps", str(STEPS), "--image-size", "32"),
    "table6": ("--steps", str(STEPS)),  # its protocol states the size of its digits
    # Its configs count epochs, two steps of detection and one of segmentation, and state the size of images.
    "table7": ("--epochs", str(STEPS)),
}
"""Tables that are cut otherwise than by `--steps` and `--image-size`."""
ROOM_GB = "1000"
"""Of the store: more than any table asks for; look-alikes fill megabytes of it."""
WHOLE = (*(name for name in TABLES if name.startswith("table")), "figures")
"""Rehearsed with all of their runs."""
CHOSEN: dict[str, tuple[str, ...]] = {
    "ablation": (),
    "agreement": (),
    "study_defaults": ("--arch", "resnet18", "--task", "flowers"),
    "rates": ("--arch", "resnet18", "--task", "stl10"),
    "adapters_search": ("--arch", "resnet18", "--task", "flowers"),
    "adapters": ("--arch", "resnet18", "--task", "flowers"),
    "adapters_best": ("--arch", "resnet18", "--task", "flowers"),
    "adapters_long": ("--arch", "resnet18", "--task", "flowers"),
}
"""What a whole rehearsal chooses: of our own large studies one net and task, whose like runs for all others too."""
ONE_BY_ONE: dict[str, tuple[str, ...]] = {"table7": ("--task", "segmentation")}
"""Runs of a whole table that are measured one at a time: DeepLab, with 16 images of 512 pixels, takes up to 22 GB."""
SIDE_BY_SIDE: dict[str, tuple[str, ...]] = {"table7": ("--task", "detection")}
"""The other runs of such a table."""
FROZEN = ("--method", "fc_only", "--method", "delta_networks:paper")
SLICE: dict[str, tuple[str, ...]] = {
    "table1": ("--task", "decathlon_dtd"),
    "table2": ("--arch", "convnext_tiny", "--task", "stl10", *FROZEN),
    "table3": ("--arch", "resnet18", "--task", "aircraft+flowers+stl10", *FROZEN),
    "table4": ("--arch", "resnet18", "--task", "aircraft+flowers+stl10", *FROZEN, "--method", "paint:lr=0.001"),
    "table5": ("--task", "aircraft", "--train-percent", "15"),
    "table6": ("--task", "mnist->usps"),
    "table7": (
        "--arch", "resnet18", "--method", "faster_rcnn:frozen_stages=1", "--method", "faster_rcnn+delta_networks:paper",
    ),
    "table8": ("--arch", "resnet18", "--task", "aircraft"),
    "table10": ("--arch", "convnext_tiny", "--task", "stl10", *FROZEN),
    "table11": ("--arch", "resnet18", "--task", "aircraft+flowers+stl10", *FROZEN, "--method", "paint:lr=0.001"),
    "table12": ("--arch", "resnet18", "--task", "aircraft"),
    "table13": ("--arch", "resnet18", "--task", "imagenet"),
    "figures": ("--arch", "resnext50_32x4d", "--task", "aircraft", "--method", "delta_networks:paper"),
    "ablation": ("--task", "aircraft", "--method", "fc_only", "--method", "delta_networks:default"),
    "agreement": ("--task", "stl10", "--method", "paint:lr=0.001"),
    "study_defaults": (
        "--arch", "resnet18", "--task", "stl10", "--method", "fc_only", "--method",
        "delta_networks:gates half, identity BN", "--method", "delta_networks:gates +-1, fresh BN",
    ),
    "rates": ("--arch", "resnet18", "--task", "stl10", "--method", "fc_only"),
    "adapters_search": ("--arch", "resnet18", "--task", "stl10", "--method", "fc_only"),
    "adapters": ("--arch", "resnet18", "--task", "stl10"),
}  # fmt: skip
"""A part of each table that has every suite and every method of the paper's tables once, on small nets.

But for DeepLab, which takes up to 22 GB. What takes long is not repeated where Table 1 has it, as PAINT with its eleven
alphas, and runs of one table are those of another where they can be. Of the adapter study there is one method, as each
is searched in six configurations, and of the study of defaults there are three arms.
"""
REPORTS = (
    "table1", "table2", "table3", "table4", "table5", "table6", "table7", "table8", "table9", "table10", "table11",
    "table12", "table13", "ablation", "adapters", "agreement", "rates", "study_defaults", "claims", "lint",
)  # fmt: skip
"""Of `python -m reports`, which knows this floor and is not known to it: a rehearsal calls it as a user does."""


@dataclass(frozen=True, kw_only=True)
class Folders:
    """Where a rehearsal keeps what."""

    root: Path

    @property
    def data(self) -> Path:  # noqa: D102
        return self.root / "data"

    @property
    def weights(self) -> Path:  # noqa: D102
        return self.root / "weights"

    @property
    def results(self) -> Path:  # noqa: D102
        return self.root / "results"

    @property
    def cache(self) -> Path:  # noqa: D102
        return self.root / "cache"

    @property
    def logs(self) -> Path:  # noqa: D102
        return self.root / "logs"


def part_of(table: str, *, part: bool) -> tuple[str, ...]:
    """Options that choose the runs of a table which are rehearsed."""
    return SLICE[table] if part else CHOSEN.get(table, ())


def names(*, part: bool) -> tuple[str, ...]:
    """Tables that are rehearsed, in an order in which later ones find what they need."""
    return tuple(SLICE) if part else tuple(dict.fromkeys([*WHOLE, *CHOSEN]))


def options_of(table: str, folders: Folders, *, part: bool, image_size: int = IMAGE_SIZE) -> list[str]:
    """Words behind `python -m benchmarks plan` and `run`."""
    cut = CUT.get(table, ("--steps", str(STEPS), "--image-size", str(image_size)))
    return [
        table, "--scale", "paper", *part_of(table, part=part), *cut, "--data-root", str(folders.data),
        "--weights-root", str(folders.weights), "--results", str(folders.results), "--cache", str(folders.cache),
        "--cache-gb", ROOM_GB,
    ]  # fmt: skip


def checking(folders: Folders) -> dict[str, list[str]]:
    """The step that looks at all look-alikes as at data sets, by name."""
    return {"data check": ["-m", "benchmarks", "fetch", "all", "--check", "--data-root", str(folders.data)]}


def measuring(
    table: str, folders: Folders, *, part: bool, workers: int | None, image_size: int = IMAGE_SIZE
) -> dict[str, list[str]]:
    """Steps that plan and measure a table, by name."""
    words = options_of(table, folders, part=part, image_size=image_size)
    run = ["-m", "benchmarks", "run", *words]
    at_once = [] if workers is None else ["--workers", str(workers)]
    steps = {f"{table} plan": ["-m", "benchmarks", "plan", *words]}
    if part or table not in ONE_BY_ONE:
        return steps | {f"{table} run": [*run, *at_once]}
    return steps | {
        f"{table} run": [*run, *SIDE_BY_SIDE[table], *at_once],
        f"{table} run one by one": [*run, *ONE_BY_ONE[table], "--workers", "1"],
    }


def showing(folders: Folders, tables: tuple[str, ...]) -> dict[str, list[str]]:
    """Steps that make every report of these tables, by name."""
    where = ["--scale", "paper", "--results", str(folders.results)]
    measured = {"table9", "claims", "lint", *tables}
    return {
        **{f"{name} report": ["-m", "reports", name, *where] for name in REPORTS if name in measured},
        "figures report": ["-m", "reports", "figures", *where],
        "html report": ["-m", "reports", "html", *where],
        "reproducing report": [
            "-m", "reports", "reproducing", "--results", str(folders.results), "--out",
            str(folders.results / "REPRODUCING.md"),
        ],
    }  # fmt: skip
