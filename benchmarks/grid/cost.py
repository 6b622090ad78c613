"""What runs at paper scale cost before any was started: training images and GPU-hours, by rule of thumb."""

from collections.abc import Iterable
from dataclasses import dataclass

from benchmarks.data.catalogue import CATALOGUE
from benchmarks.spec import Run, RunSpec, SequenceSpec
from benchmarks.suites.dense.spec import DenseRun
from benchmarks.suites.domain_adaptation.spec import DomainSpec
from benchmarks.transfer.spec import TransferSpec

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

DENSE_IMAGES = {"detection": 4 * 3 * 16_551, "segmentation": 20_000 * 16}
"""Table 7: VOC07+12 trainval three times in each of 4 epochs (mmdet), 20,000 steps of 16 images (mmseg)."""

DENSE_HOURS = 7 / 6
"""H100-hours of a run of Table 7: six take 6 to 8, by the training times that mmdet and mmseg state; assumed."""

SHARE_OF_FULL_TRAINING = {1: 0.42, 2: 0.50, 4: 0.75}
"""Number of Delta-modules -> cost of a step: forward a third, backward down to the first module; assumed."""

HEAD_ALONE = 1 / 3


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
    match run:
        case DenseRun():
            return DENSE_IMAGES[run.kind]
        case DomainSpec(method=method):
            adapting = 2 * method.adda.schedule.steps * method.adda.schedule.batch_size if method.adda else 0
            return method.recipe.steps * method.recipe.batch_size + adapting
        case TransferSpec(method=method) if method.recipe.steps_per_epoch:
            return method.recipe.epochs * method.recipe.steps_per_epoch * method.recipe.batch_size
        case RunSpec(method=method) | SequenceSpec(method=method) | TransferSpec(method=method):
            parts = [CATALOGUE[name] for name in run.task.split("+") if name in CATALOGUE]
            return method.recipe.epochs * sum(entry.train_images for entry in parts) if parts else None
    return None


def _hours(run: Run, images: int) -> float | None:
    """H100-hours that training on so many images takes."""
    if isinstance(run, DenseRun):
        return DENSE_HOURS
    speed = RTX3090_IMAGES_PER_S.get(run.architecture)
    if speed is None:
        return None
    pixels = (getattr(run, "image_size", SPEED_PX) / SPEED_PX) ** 2
    return images * pixels * _share(run) / (speed * H100_SPEEDUP) / 3600


def _share(run: Run) -> float:
    """Cost of a step over that of training the whole net."""
    if isinstance(run, TransferSpec | DomainSpec):
        return 1.0
    if run.method.n_delta_modules:
        return SHARE_OF_FULL_TRAINING.get(run.method.n_delta_modules, 1.0)
    return HEAD_ALONE if run.method.name == "fc_only" else 1.0
