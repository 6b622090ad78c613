"""Co-Tuning: the source head trains along, on what the target class says about source classes.

You et al., "Co-Tuning for Transfer Learning", NeurIPS 2020; thuml/Transfer-Learning-Library, co_tuning.py.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.methods.base import Cell
from benchmarks.suites.transfer.data import as_they_are
from benchmarks.suites.transfer.methods.base import Transfer
from benchmarks.suites.transfer.methods.relationship import calibrated_relationship, direct_relationship
from benchmarks.suites.transfer.methods.tap import Tap
from delta_core import JointDelta
from delta_core.families import base_head
from delta_core.training.data.folders import held_out
from delta_core.training.data.splits import eval_batches
from delta_core.training.engine import predict
from delta_core.training.objective import Objective

HELD_OUT = 0.2
"""Share of the training images on which the calibrated relationship is tuned, so that validation data stay unused."""


@dataclass(frozen=True, kw_only=True)
class CoTuning(Transfer):
    """CE + trade_off * CE(softmax(s), p(y_s | y)); s: logits of the source head, which learns at the backbone's rate.

    `direct` is what thuml/Transfer-Learning-Library, and so Table 5, does; `calibrated` is the article's estimate.
    """

    name: ClassVar[str] = "co_tuning"
    prepares_on_data: ClassVar[bool] = True
    trade_off: float = 2.3
    relationship: Literal["direct", "calibrated"] = "direct"

    def prepare(self, net: JointDelta, cell: Cell) -> Objective:  # noqa: D102
        images, labels = as_they_are(cell.task.train), cell.task.train.labels
        probabilities = F.softmax(predict(cell.new_backbone(), eval_batches(images, cell.fabric.device)), dim=1)
        if self.relationship == "direct":
            found = direct_relationship(probabilities, labels, cell.task.classes)
        else:
            kept, held = held_out(labels, seed=cell.init_seed, fraction=HELD_OUT)
            found = calibrated_relationship(probabilities[kept], labels[kept], probabilities[held], labels[held])
        base_head(net.backbone).requires_grad_(True)
        return CoTuningObjective(net, found.clone(), self.trade_off)


class CoTuningObjective(Objective):
    """Loss of `CoTuning`; `relationship` (T, S) has p(source class | target class) in its lines."""

    def __init__(self, net: JointDelta, relationship: Tensor, trade_off: float) -> None:
        self.relationship, self.trade_off = relationship, trade_off
        self.source_head, self.pooled = base_head(net.backbone), Tap(net.head)

    def loss(self, module: nn.Module, inputs: Tensor, labels: Tensor, index: Tensor) -> Tensor:  # noqa: ARG002, D102
        logits = module(inputs)
        wanted = self.relationship.to(labels.device)[labels]
        source = F.cross_entropy(self.source_head(self.pooled.taken_in), wanted)
        return F.cross_entropy(logits, labels) + self.trade_off * source
