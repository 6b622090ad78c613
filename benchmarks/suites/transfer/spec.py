"""One run of Table 5: fine-tune one backbone on a share of one task's training data by one method."""

from dataclasses import dataclass
from functools import cached_property

from benchmarks.records.names import TRANSFER
from benchmarks.records.rows import Scale
from benchmarks.suites.transfer.methods.base import Transfer
from delta_core.training.identity import content_id, derive_seed


@dataclass(frozen=True, kw_only=True)
class TransferSpec:
    """A cell and seed of Table 5; see `benchmarks.spec.Run`."""

    scale: Scale
    architecture: str
    weights: str
    """As in `benchmarks.suites.patching.spec.RunSpec`; the source head comes with them."""
    task: str
    data: str
    train_percent: int
    """Share of the training images, one of `rates.PERCENTS`."""
    with_val: bool
    """Train on the validation images too."""
    min_crop_area: float
    """Smallest share of an image that a training view shows; every view is flipped at random."""
    method: Transfer
    image_size: int
    seed: int

    @property
    def suite(self) -> str:  # noqa: D102
        return TRANSFER

    @cached_property
    def run_id(self) -> str:  # noqa: D102
        return content_id(self)

    @property
    def data_names(self) -> tuple[str, ...]:  # noqa: D102
        return (self.task,)

    @property
    def init_seed(self) -> int:
        """Draws the head, and what else a method adds: the same head for every method."""
        return derive_seed("init", self.architecture, self.task, self.seed)

    @property
    def order_seed(self) -> int:
        """Draws the order of the batches and random views: the same for every method."""
        return derive_seed("order", self.task, self.train_percent, self.seed)

    @property
    def protocol(self) -> str:
        """Size, views, steps and rate; `reports.tables.transfer` reads the rate at its end."""
        recipe = self.method.recipe
        data = "train+val" if self.with_val else "train"
        return f"px={self.image_size},crop={self.min_crop_area:g},steps={recipe.length},{data}={self.train_percent}%"
