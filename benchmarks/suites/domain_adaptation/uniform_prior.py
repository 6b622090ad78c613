"""Uniform prior: an adversary pulls embeddings towards a uniform distribution (Sinha et al., CVPR-W 2022).

min_E max_D  L_task + weight * (log D(u) + log(1 - D(E(x)))), u ~ U(-1, 1)^F, with inverted labels for E. The paper's
own code is not public; tanh embedding, loss and numbers are those of URM (TMLR 2024), which builds on it.
"""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.suites.domain_adaptation.discriminator import Adversary
from benchmarks.suites.domain_adaptation.encoder import Classifier
from benchmarks.suites.domain_adaptation.spec import PriorConfig
from delta_core.training.objective import Objective

if TYPE_CHECKING:
    from lightning_fabric import Fabric


class UniformPriorObjective(Objective):
    """Cross-entropy plus the price of embeddings that can be told from uniform samples."""

    def __init__(self, classifier: Classifier, config: PriorConfig, fabric: "Fabric", *, seed: int) -> None:
        self.classifier = classifier
        self.weight = config.weight
        self.fabric = fabric
        self.adversary = Adversary(
            classifier.head.in_features, lr=config.discriminator_lr, beta1=0.9, fabric=fabric, seed=seed
        )
        self._draws = torch.Generator().manual_seed(seed)

    def loss(self, module: nn.Module, inputs: Tensor, labels: Tensor, index: Tensor) -> Tensor:  # noqa: ARG002
        """One step of the discriminator, then the loss () of the classifier."""
        with self.fabric.autocast():
            embedding = self.classifier.embed(inputs)
            logits = self.classifier.head(embedding)
        uniform = torch.rand(embedding.shape, generator=self._draws).to(embedding) * 2 - 1
        self.adversary.learn(uniform, embedding)
        return F.cross_entropy(logits.float(), labels) + self.weight * self.adversary.fooling_loss(embedding)

    def state_dict(self) -> dict[str, Any]:
        """The adversary, and where the drawing of uniform samples is."""
        return {"adversary": self.adversary.state_dict(), "draws": self._draws.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        self.adversary.load_state_dict(state["adversary"])
        self._draws.set_state(state["draws"])
