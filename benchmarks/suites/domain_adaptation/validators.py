"""Validators score a net during training, to pick weights without target labels. Each declares what it may see."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn
from torch.nn import functional as F

from benchmarks.suites.domain_adaptation.data import Seen
from benchmarks.suites.domain_adaptation.spec import Setting
from delta_core.training.data.splits import Split, eval_batches
from delta_core.training.engine import predict, top1

Sight = Literal["val", "unlabelled"]
"""A field of `Seen`; target labels are not among them."""


@dataclass(frozen=True, kw_only=True)
class Validator:
    """A score of a net, the higher the better, on the one split it declares."""

    name: str
    sees: Sight
    score_of: Callable[[nn.Module, Split, torch.device], float]

    def score(self, net: nn.Module, seen: Seen, device: torch.device) -> float:
        """Score of a net (images -> logits). Nothing but the declared split is handed over."""
        split: Split | None = getattr(seen, self.sees)
        assert split is not None, f"{self.name} asks for {self.sees}, which this setting does not see"
        return self.score_of(net, split, device)


def _held_out_top1(net: nn.Module, split: Split, device: torch.device) -> float:
    return top1(predict(net, eval_batches(split, device)), split.labels)


def _mutual_information(net: nn.Module, split: Split, device: torch.device) -> float:
    """H(mean p) - mean H(p) in nats: sure of every image, and all classes in use (Shi and Sha, ICML 2012)."""
    log_p = F.log_softmax(predict(net, eval_batches(split, device)), dim=1)
    p = log_p.exp()
    marginal = p.mean(0)
    return float(-(marginal * marginal.clamp_min(1e-12).log()).sum() + (p * log_p).sum(1).mean())


HELD_OUT = Validator(name="held-out top-1", sees="val", score_of=_held_out_top1)
INFORMATION = Validator(name="information maximisation", sees="unlabelled", score_of=_mutual_information)

VALIDATORS: dict[Setting, Validator] = {
    "zero-shot": HELD_OUT,
    "unsupervised DA": INFORMATION,
    "target labels": HELD_OUT,
}
