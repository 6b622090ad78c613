"""What a net answers on its base task before any method touches it."""

from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from benchmarks.records.names import UNLABELLED
from delta_core.training.data.splits import TaskData
from delta_core.training.engine import predict_split

if TYPE_CHECKING:
    from lightning_fabric import Fabric


@dataclass(frozen=True, kw_only=True)
class Untouched:
    """A pristine net and its base task, equal by content."""

    sha: str
    data_sha: str
    device: torch.device
    fabric: "Fabric" = field(compare=False)
    backbone: nn.Module = field(compare=False)
    base: TaskData = field(compare=False)

    def base_with_labels(self) -> TaskData:
        """The base task; where its images have no labels, the top-1 of the net takes their place.

        Top-1 on them is then agreement with the untouched net.
        """
        if not self.base.name.startswith(UNLABELLED):
            return self.base
        answered: dict[str, Any] = {
            split: replace(getattr(self.base, split), labels=base_logits(self, split).argmax(1))
            for split in ("val", "test")
        }
        return replace(self.base, **answered, train=answered["val"])


# Kept in the process, never on disk: logits are comparable bit by bit only on the same kernels and batch sizes.
@lru_cache(maxsize=8)
def base_logits(untouched: Untouched, split: Literal["val", "test"]) -> Tensor:
    """Logits (N, C) of the untouched net on a base split, computed once for all runs of this process."""
    return predict_split(untouched.backbone, getattr(untouched.base, split), untouched.fabric)
