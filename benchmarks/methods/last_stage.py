"""Fine-tuning the last stages: the task has a copy of its own of them; all below is the backbone's."""

import copy
from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from benchmarks.methods.adapted import AdaptedMethod
from benchmarks.methods.frozen import SHARE_OF_FULL_TRAINING
from delta_core.families import FAMILIES, Units
from delta_core.training.errors import UserError


@dataclass(frozen=True, kw_only=True)
class LastStage(AdaptedMethod):
    """Train a copy of the last stages, of all that follows up to the pooling, and the head.

    Stages are those of the architecture: `layer4` is the last of a ResNet, `blocks.6` of an EfficientNet, followed by
    `conv_head` there. BatchNorms of the copy gather statistics of the task, as in full fine-tuning.
    """

    name: ClassVar[str] = "last_stage"
    stages: int = 1
    """How many, counted from the last."""

    @property
    def share_of_full_training(self) -> float:
        """Backward down to the first stage of the copy."""
        return SHARE_OF_FULL_TRAINING.get(self.stages, 1.0)

    def adapt(self, net: nn.Module) -> None:
        """Give the task its own stages.

        Raises:
            UserError: if the net has fewer.
        """
        layout = FAMILIES[type(net)].layout(net)
        places = [place for place, part in enumerate(layout) if isinstance(part, Units)]
        if not 1 <= self.stages <= len(places):
            raise UserError(f"{type(net).__name__} has {len(places)} stages, so stages={self.stages} cannot be tuned.")
        for part in layout[places[-self.stages] :]:
            for name in (part.name,) if isinstance(part, Units) else part.modules:
                net.set_submodule(name, copy.deepcopy(net.get_submodule(name)).requires_grad_(True))
