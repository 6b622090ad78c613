"""What runs at paper scale cost before any was started: training images and GPU-hours, by rule of thumb."""

from collections.abc import Iterable
from dataclasses import dataclass

from benchmarks.data.catalogue import CATALOGUE
from benchmarks.data.groups import members
from benchmarks.spec import Run

RTX3090_IMAGES_PER_S = {
    "resnet18": 3482,
    "resnet34": 2037,
    "resnet50": 1218,
    "resnext50_32x4d": 1001,
    "convnext_tiny": 819,
    "resnet101": 748,
    "wide_resnet50_2": 669,
    "convnext_small": 487,
    "convnext_base": 339,
    "convnext_large": 188,
}
"""Full training, mixed precision, 224 px (timm, results/benchmark-train-amp-nhwc-pt112-cu113-rtx3090.csv)."""

SPEED_PX = 224

H100_SPEEDUP = 2.5
"""Assumed."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Of several runs; what nothing is known of is counted apart."""

    runs: int
    training_images: int
    h100_hours: float
    unknown: int
    """Runs whose images or speed are not known here."""

    def __str__(self) -> str:
        rest = f", without {self.unknown} run(s) of unknown cost" if self.unknown else ""
        return (
            f"{self.runs} runs, {self.training_images:,} training images, about {self.h100_hours:.1f} H100-hours of "
            f"compute{rest}"
        )


def cost_of(runs: Iterable[Run]) -> Cost:
    """Cost of runs at paper scale. Evaluation and waiting for decoded images come on top.

    >>> str(cost_of([]))
    '0 runs, 0 training images, about 0.0 H100-hours of compute'
    """
    counted, images, hours, unknown = 0, 0, 0.0, 0
    for run in runs:
        counted += 1
        found = _training_images(run)
        spent = _hours(run, found) if found is not None else None
        if found is None or spent is None:
            unknown += 1
            continue
        images += found
        hours += spent
    return Cost(runs=counted, training_images=images, h100_hours=hours, unknown=unknown)


def _training_images(run: Run) -> int | None:
    """Images that training reads, counted in every epoch."""
    parts = [CATALOGUE[name] for name in members(run.task) if name in CATALOGUE]
    return run.method.training_images(sum(entry.train_images for entry in parts) if parts else None)


def _hours(run: Run, images: int) -> float | None:
    """H100-hours that training on so many images takes."""
    if run.method.h100_hours is not None:
        return run.method.h100_hours
    speed = RTX3090_IMAGES_PER_S.get(run.architecture)
    if speed is None:
        return None
    pixels = (getattr(run, "image_size", SPEED_PX) / SPEED_PX) ** 2
    return images * pixels * run.method.share_of_full_training / (speed * H100_SPEEDUP) / 3600
