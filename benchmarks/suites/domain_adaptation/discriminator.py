"""A discriminator, its training, and what it costs to be told apart by it: the adversary of both methods.

Shape legend: B batch, F features.
"""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from delta_core.training.engine import DivergedError

if TYPE_CHECKING:
    from lightning_fabric import Fabric


class Discriminator(nn.Module):
    """(B, F) -> one logit each (B,), positive for `real`: two hidden layers.

    ADDA's own has 500 units each on 10 logits; here they are as wide as the features (512 for ResNet-18), at least 64.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        width = max(64, features)
        self.layers = nn.Sequential(
            nn.Linear(features, width),
            nn.LeakyReLU(0.2),
            nn.Linear(width, width),
            nn.LeakyReLU(0.2),
            nn.Linear(width, 1),
        )

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        return self.layers(x).flatten()  # type: ignore[no-any-return]


class Adversary:
    """A discriminator that learns to tell `real` from `fake`, one step a batch. It never moves who it judges."""

    def __init__(self, features: int, *, lr: float, beta1: float, fabric: "Fabric", seed: int) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            net = Discriminator(features).to(fabric.device)
        self.fabric = fabric
        self.net, self.optimizer = fabric.setup(net, torch.optim.Adam(net.parameters(), lr=lr, betas=(beta1, 0.999)))
        self._right = torch.zeros((), device=fabric.device)
        self._judged = 0
        self._spread = torch.ones((), device=fabric.device)

    def learn(self, real: Tensor, fake: Tensor) -> None:
        """One step of its own parameters on two batches (B, F)."""
        judged = self.net(torch.cat([real, fake]).detach())
        truth = torch.cat([torch.ones(len(real)), torch.zeros(len(fake))]).to(judged)
        self.optimizer.zero_grad()  # what the last fooling loss left
        self.fabric.backward(F.binary_cross_entropy_with_logits(judged, truth))
        self.optimizer.step()
        self._right += ((judged > 0) == truth.bool()).sum()
        self._judged += len(judged)
        self._spread = judged.detach().std()

    def fooling_loss(self, fake: Tensor) -> Tensor:
        """Loss () of `fake` (B, F) for not being taken as real, with a gradient that does not vanish (inverted labels).

        Its gradient also reaches the discriminator's parameters, where the next step forgets it.
        """
        judged: Tensor = self.net(fake)
        return F.binary_cross_entropy_with_logits(judged, torch.ones_like(judged))

    def state_dict(self) -> dict[str, Any]:
        """Its net and optimiser, and what it judged since the last call of `take_top1`."""
        judged = {"right": self._right, "judged": self._judged, "spread": self._spread}
        return {"net": self.net.state_dict(), "optimizer": self.optimizer.state_dict(), **judged}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        self.net.load_state_dict(state["net"])
        self.optimizer.load_state_dict(state["optimizer"])
        self._right.copy_(state["right"])
        self._judged = state["judged"]
        self._spread = state["spread"].to(self._right)

    def take_top1(self) -> float:
        """Right answers in per cent since the last call; 50 = it cannot tell.

        Raises:
            DivergedError: if its answers are not finite, or no longer depend on what it sees.
        """
        if not torch.isfinite(self._spread):
            raise DivergedError("The discriminator's answers must be finite; lower its learning rate.")
        if self._spread < 1e-6:
            raise DivergedError("The discriminator collapsed: it gives everything one answer; lower its learning rate.")
        top1 = 100 * self._right.item() / max(1, self._judged)
        self._right.zero_()
        self._judged = 0
        return top1
