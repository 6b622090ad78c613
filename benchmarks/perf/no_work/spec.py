"""A run that is claimed, recorded and told as any other."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from benchmarks.methods.fc_only import FcOnly
from benchmarks.records.rows import SCRATCH
from delta_core.training.identity import content_id
from delta_core.training.recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class NoWork:
    """One of many, told apart by its seed."""

    seed: int
    suite: ClassVar[str] = "no_work"
    scale: ClassVar[Literal["embedded"]] = "embedded"
    protocol: ClassVar[str] = "none"
    architecture: ClassVar[str] = "none"
    weights: ClassVar[str] = SCRATCH
    task: ClassVar[str] = "none"
    data_names: ClassVar[tuple[str, ...]] = ()
    method: ClassVar[FcOnly] = FcOnly(recipe=Recipe(epochs=1, lr=1.0, head_lr=1.0))

    @property
    def run_id(self) -> str:
        """Of its seed."""
        return content_id(self)
