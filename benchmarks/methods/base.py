"""The seam between the runner and a method: a `Cell` goes in, an `Outcome` comes out."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from benchmarks.nets.full_size import backbone_params
from benchmarks.records.names import BASE_AGREEMENT, TOP1, UNLABELLED
from benchmarks.records.rows import Selection
from benchmarks.stages import Stages
from delta_core.training.data.splits import TaskData
from delta_core.training.engine import predict_split, top1
from delta_core.training.recipe import Recipe
from delta_core.training.skip_gate import SkipGate
from delta_core.training.tensor_store import TensorStore

if TYPE_CHECKING:
    from lightning_fabric import Fabric

EvalSplit = Literal["val", "test"]
EVAL_SPLITS: tuple[EvalSplit, ...] = ("val", "test")


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One measured value of one run."""

    column: str
    split: EvalSplit
    value: float
    """In per cent, or in the unit that `metric` names."""
    n_examples: int
    metric: str = TOP1
    phase: Literal["before", "after"] = "after"
    variant: str = ""
    alpha: float | None = None
    selection: Selection = "last"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a method hands back for one cell."""

    measurements: tuple[Measurement, ...]
    params_delta: int
    """Trainable parameters without the head."""
    params_head: int
    steps: int
    train_s: float
    backbone_sha_after: str
    base_logits_equal: bool | None
    """None where the method changes the base on purpose."""
    gates: tuple[SkipGate, ...] = ()
    """Gates on the task's test images, where the method records them."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """Everything a method needs for one architecture, task and seed."""

    architecture: str = ""
    """timm name of the full-size net."""
    new_backbone: Callable[[], nn.Module]
    """A fresh copy of the pre-trained net, on the device, channels last."""
    task: TaskData
    base: TaskData | None
    base_logits: Tensor | None
    """Logits (N, C) of the untouched net on the base task's test split, measured before."""
    store: TensorStore
    """Where features of the frozen net are kept between runs."""
    fabric: "Fabric"
    order_seed: int
    init_seed: int
    stages: Stages = field(default_factory=Stages)
    """Of the run: trainings and measurements that a killed run need not repeat."""

    def measured(self, name: str, measure: Callable[[], Iterable[Measurement]]) -> list[Measurement]:
        """What a function measures, or measured before the run was killed; the name tells it from others of the run."""
        found = self.stages.value(name, lambda: [asdict(measurement) for measurement in measure()])
        return [Measurement(**measurement) for measurement in found]

    def logits(self, module: nn.Module, split: EvalSplit, *, base: bool = False) -> Tensor:
        """Logits (N, C) of `module` on a split of the task, or of the base task."""
        data = self.base if base else self.task
        assert data is not None
        return predict_split(module, getattr(data, split), self.fabric)

    def measure_task(self, module: nn.Module, split: EvalSplit, **where: Any) -> Measurement:
        """Top-1 of `module` on a split of the patch task."""
        labels = getattr(self.task, split).labels
        return Measurement(
            column=self.task.name,
            split=split,
            value=top1(self.logits(module, split), labels),
            n_examples=len(labels),
            **where,
        )

    def measure_base(self, logits: Tensor, split: EvalSplit, **where: Any) -> Measurement:
        """Top-1 of base logits (N, C) that were computed on a split of the base task.

        Where the labels are the untouched net's own answers it is no accuracy, and is called `base_agreement`.
        """
        assert self.base is not None
        labels = getattr(self.base, split).labels
        return Measurement(
            column=self.base.name,
            split=split,
            metric=BASE_AGREEMENT if self.base.name.startswith(UNLABELLED) else TOP1,
            value=top1(logits, labels),
            n_examples=len(labels),
            **where,
        )

    def before(self) -> tuple[Measurement, ...]:
        """Accuracy of the untouched net on the base task, if there is base data."""
        if self.base_logits is None:
            return ()
        return (self.measure_base(self.base_logits, "test", phase="before"),)


@dataclass(frozen=True, kw_only=True)
class Method(ABC):
    """A way to adapt a backbone to a task. Every field is science: it becomes part of the run's identity."""

    name: ClassVar[str]
    """As in the paper's CSVs, or ours."""
    needs_base: ClassVar[bool] = False
    """Whether it chooses by base accuracy, so that without base data there is nothing to measure."""
    recipe: Recipe
    prepares_on_data: ClassVar[bool] = False
    """Whether images must be looked at before the first step, so that its memory cannot be told without data."""

    @property
    def variant(self) -> str:
        """Arm of the method; empty when there is one."""
        return ""

    @property
    def n_delta_modules(self) -> int:
        """0 for methods without Delta-modules."""
        return 0

    def suits(self, architecture: str) -> bool:  # noqa: ARG002
        """Whether there is something to do in a net of that name."""
        return True

    def full_size_params(self, architecture: str) -> int | None:
        """Trainable parameters, head left out, on the full-size architecture of that name."""
        return backbone_params(architecture)

    def feature_shape(self, architecture: str, image_size: int) -> tuple[int, ...]:  # noqa: ARG002
        """Of what the store keeps of an image behind the frozen part, with fixed views; empty for nothing."""
        return ()

    def training_images(self, in_task: int | None) -> int | None:
        """Images that training reads, counted in every epoch, of a task with so many training images."""
        return None if in_task is None else self.recipe.epochs * in_task

    @property
    def share_of_full_training(self) -> float:
        """Cost of a step over that of training the whole net."""
        return 1.0

    @property
    def h100_hours(self) -> float | None:
        """GPU-hours of a run at paper scale, where they are known otherwise than from its images."""
        return None

    @abstractmethod
    def measure(self, cell: Cell) -> Outcome:
        """Train on the cell's task and measure task and base."""


def new_head(features: int, classes: int, seed: int, device: torch.device) -> nn.Linear:
    """A fresh linear classifier with the framework's default initialisation, drawn from its own seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Linear(features, classes).to(device)
