"""LWF: what the net said of the source classes about the new images, it shall go on saying.

Li and Hoiem, "Learning without Forgetting", ECCV 2016; numbers of thuml/Transfer-Learning-Library, lwf.py and lwf.sh.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.methods.base import Cell
from benchmarks.suites.transfer.methods.base import Transfer, seeded
from benchmarks.suites.transfer.methods.tap import Tap
from delta_core import JointDelta
from delta_core.families import base_head
from delta_core.training.engine import predict
from delta_core.training.objective import Objective


@dataclass(frozen=True, kw_only=True)
class Lwf(Transfer):
    """CE + trade_off * KL(softmax(s0 / T) || softmax(s / T)), without the factor T^2.

    s are the source classes' logits of the net in training, s0 those of the untouched net. s0 is computed once, in
    eval mode, on one augmented view of each image; the source head stays as it was.
    """

    name: ClassVar[str] = "lwf"
    prepares_on_data: ClassVar[bool] = True
    trade_off: float = 4.0
    temperature: float = 3.0

    def prepare(self, net: JointDelta, cell: Cell) -> Objective:  # noqa: D102
        with seeded(cell.init_seed):
            views = cell.task.train.batches(self.recipe.batch_size, device=cell.fabric.device)
            source = predict(cell.new_backbone(), views)
        return LwfObjective(net, source.clone(), self.trade_off, self.temperature)


class LwfObjective(Objective):
    """Loss of `Lwf`; `source` are the untouched net's logits (N, C) of all training images."""

    def __init__(self, net: JointDelta, source: Tensor, trade_off: float, temperature: float) -> None:
        self.source, self.trade_off, self.temperature = source, trade_off, temperature
        self.source_head, self.pooled = base_head(net.backbone), Tap(net.head)

    def loss(self, module: nn.Module, inputs: Tensor, labels: Tensor, index: Tensor) -> Tensor:  # noqa: D102
        logits = module(inputs)
        said = self.source[index].to(labels.device)
        kept = distillation(self.source_head(self.pooled.taken_in), said, self.temperature)
        return F.cross_entropy(logits, labels) + self.trade_off * kept


def distillation(logits: Tensor, wanted: Tensor, temperature: float) -> Tensor:
    """Mean KL(softmax(wanted / T) || softmax(logits / T)) over a batch; both (B, C).

    >>> import torch
    >>> distillation(torch.tensor([[0.0, 3.0]]), torch.tensor([[0.0, 3.0]]), 3.0).item()
    0.0
    """
    soft = F.softmax(wanted / temperature, dim=1)
    return F.kl_div(F.log_softmax(logits / temperature, dim=1), soft, reduction="batchmean")
