"""One run of Tables 4 and 11: a net walks through several tasks."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from benchmarks.data.groups import members
from benchmarks.methods.paint import Paint
from benchmarks.nets.base_transforms import BaseTransform
from benchmarks.records.names import SEQUENCE
from benchmarks.records.rows import Scale
from delta_core.training.identity import NEW_SINCE_RECORDED, content_id, derive_seed

Rule = Literal["harmonic_mean", "mean"]
"""What PAINT's alpha maximises over the base and all tasks so far: Section 3.1 says one, Section 7.2 the other."""


@dataclass(frozen=True, kw_only=True)
class SequenceSpec:
    """PAINT on several tasks, one after the other, from interpolated weights to interpolated weights (Section 3.1).

    Fields are those of a `RunSpec`, but `task` is a sequence `a+b+c`.
    """

    suite: str = SEQUENCE
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
    base_transform: BaseTransform | None = field(default=None, metadata=NEW_SINCE_RECORDED)
    """How base images are prepared, where the user accepted a base that is not the paper's in this transform."""

    @cached_property
    def run_id(self) -> str:
        """Twelve hexadecimal digits that identify the science of this run."""
        return content_id(self)

    @property
    def data_names(self) -> tuple[str, ...]:
        """The tasks and, where it is measured, the base task."""
        return (*members(self.task), self.base_task) if self.base_task else members(self.task)

    @property
    def protocol(self) -> str:
        """What must agree before two measurements may stand in one table."""
        recipe = self.method.recipe
        rounding = "" if recipe.feature_dtype == "float32" else f",features={recipe.feature_dtype}"
        parts = f",micro={recipe.micro_batch}" if recipe.micro_batch else ""
        base = f",base={self.base_transform}" if self.base_transform else ""
        return f"px={self.image_size},views={recipe.views or 'fresh'},epochs={recipe.length}{rounding}{parts}{base}"

    def seeds_at(self, task: str) -> tuple[int, int]:
        """Seeds of the new head and of the order of batches at a step; the order is that of a run on the task alone."""
        return (
            derive_seed("init", self.architecture, self.task, task, self.method.name, self.method.variant, self.seed),
            derive_seed("order", task, self.seed),
        )
