"""What the files that `DeltaModel` is made of need of it."""

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor, nn

from delta_core.families import Stage
from delta_core.patch import Entered, Patch


class StagedNet(Protocol):
    """A frozen backbone that runs stage by stage, with a patch or without."""

    backbone: nn.Module
    stages: tuple[Stage, ...]
    gradient_checkpointing: bool

    def patch(self, name: str | None = None) -> Patch:
        """A patch by name, else the active one."""

    def ready_patch(self, name: str | None = None) -> Patch:
        """The same, if it can answer."""

    def first_gated(self, patch: Patch) -> int:
        """Number of the first stage that the patch changes; that of stages where it is a head alone."""

    def run_stage(
        self, stage: Stage, x: Tensor, patch: Patch | None, image: Tensor | None = None, entered: Entered | None = None
    ) -> Tensor:
        """What leaves a stage."""

    def suffix(self, x: Tensor, name: str | None = None, entered: Entered | None = None) -> Tensor:
        """Logits from what enters the first stage that a patch changes."""


Names = Sequence[str | None]
"""Of patches; None is the base."""
