"""ADDA: a target encoder that a discriminator cannot tell from the fixed source encoder (Tzeng et al., CVPR 2017)."""

import copy
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from benchmarks.suites.domain_adaptation.discriminator import Adversary
from benchmarks.suites.domain_adaptation.encoder import Classifier
from benchmarks.suites.domain_adaptation.spec import AddaConfig
from delta_core.training.objective import Objective

if TYPE_CHECKING:
    from lightning_fabric import Fabric


class AddaObjective(Objective):
    """The target encoder's loss; labels are not read.

    Args:
        target: starts as a copy of the source classifier; its head takes no gradient.
        source: what the discriminator sees of the source, (N, F): the source encoder is fixed, so once is enough.
        config: rates, and what the discriminator sees.
        fabric: device and precision.
        seed: of the discriminator and of the order of source examples.
    """

    def __init__(self, target: Classifier, source: Tensor, config: AddaConfig, fabric: "Fabric", *, seed: int) -> None:
        self.betas = (config.beta1, 0.999)
        self.target = target
        self.source = source
        self.on_logits = config.sees == "logits"
        self.fabric = fabric
        self.adversary = Adversary(
            source.shape[1], lr=config.discriminator_lr, beta1=config.beta1, fabric=fabric, seed=seed
        )
        self._draws = torch.Generator().manual_seed(seed)

    def loss(self, module: nn.Module, inputs: Tensor, labels: Tensor, index: Tensor) -> Tensor:  # noqa: ARG002
        """One step of the discriminator on both domains, then what the target encoder pays for being told apart."""
        with self.fabric.autocast():
            seen = self.target.embed(inputs)
            if self.on_logits:
                seen = self.target.head(seen)
        drawn = torch.randint(len(self.source), (len(inputs),), generator=self._draws)
        self.adversary.learn(self.source[drawn].to(seen), seen)
        return self.adversary.fooling_loss(seen)

    def state_dict(self) -> dict[str, Any]:
        """The adversary, and where the drawing of source examples is."""
        return {"adversary": self.adversary.state_dict(), "draws": self._draws.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        self.adversary.load_state_dict(state["adversary"])
        self._draws.set_state(state["draws"])


def target_encoder(source: Classifier) -> Classifier:
    """A copy of the source classifier whose encoder learns; the classifier on top stays the source's."""
    target = copy.deepcopy(source).requires_grad_(True)
    target.head.requires_grad_(False)
    return target
