"""One run of the noise suite: a method learns a task from clean images and is tested on noisy ones."""

from dataclasses import dataclass

from benchmarks.methods.base import Method
from benchmarks.records.rows import Scale
from delta_core.training.identity import content_id, derive_seed


@dataclass(frozen=True, kw_only=True)
class NoiseSpec:
    """A cell and seed; see `benchmarks.spec.Run`. Every field is science: it becomes part of the run's identity."""

    suite: str = "noise"
    scale: Scale
    architecture: str
    weights: str
    task: str
    data: str
    noise_sd: float
    """Standard deviation of the noise, in units of normalised pixels."""
    method: Method
    image_size: int
    seed: int

    @property
    def run_id(self) -> str:
        """Twelve hexadecimal digits that identify the science of this run."""
        return content_id(self)

    @property
    def data_names(self) -> tuple[str, ...]:
        """The task alone: no base task is measured."""
        return (self.task,)

    @property
    def init_seed(self) -> int:
        """Draws the initial values of what the method adds to the net."""
        return derive_seed("init", self.architecture, self.task, self.method.name, self.method.variant, self.seed)

    @property
    def order_seed(self) -> int:
        """Draws the order of the batches: the same for every method and noise."""
        return derive_seed("order", self.task, self.seed)

    @property
    def protocol(self) -> str:
        """What must agree before two measurements may stand in one table."""
        recipe = self.method.recipe
        return f"px={self.image_size},views={recipe.views or 'fresh'},epochs={recipe.epochs},noise={self.noise_sd:g}"
