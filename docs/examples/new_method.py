"""A method of one's own: one file with one class. Here the last stage's convolutions are scaled, channel by channel."""

from dataclasses import dataclass
from typing import ClassVar

import timm
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.methods.adapted import AdaptedMethod, AdaptedNet, swap, trainable
from benchmarks.worlds.recipes import local_recipes
from delta_core import backbone_fingerprint


class ScaledConv(nn.Module):
    """scale * conv(x), one scale per output channel, 1 at the start."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv
        self.scale = nn.Parameter(torch.ones(conv.out_channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, D, H', W')."""
        return self.scale * self.conv(x)


@dataclass(frozen=True, kw_only=True)
class LastStageScale(AdaptedMethod):
    """Train a scale behind every convolution of the last stage, and the head."""

    name: ClassVar[str] = "last_stage_scale"

    def adapt(self, net: nn.Module) -> None:
        """Put a scale behind each of them."""
        last = set(net.get_submodule("layer4").modules())
        swap(net, lambda module: isinstance(module, nn.Conv2d) and module in last, ScaledConv)


if __name__ == "__main__":
    torch.manual_seed(0)
    backbone = timm.create_model("resnet10t").eval()
    before = backbone_fingerprint(backbone)
    method = LastStageScale(recipe=local_recipes().tuning)
    model = AdaptedNet(backbone, method.adapt, classes=3, seed=0).train()

    images, labels = torch.randn(6, 3, 64, 64), torch.arange(6) % 3
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=method.recipe.lr)
    for _ in range(3):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()

    print(f"{trainable(model.net)} parameters without head, loss {loss.item():.2f}")
    print(f"base bit-identical: {backbone_fingerprint(backbone) == before}")
