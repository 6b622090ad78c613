"""A patched model as two modules: the frozen prefix, whose output may be cached, and the suffix that trains.

Shape legend: B batch, C channels, H W size, F pooled features, N classes.
"""

from typing import TYPE_CHECKING

from torch import Tensor, nn

if TYPE_CHECKING:
    from delta_core.model import DeltaModel


class Prefix(nn.Module):
    """The frozen part of a model under one patch: images (B, 3, H, W) -> what enters the first gated block.

    A patch without modules gives pooled features (B, F). Made by `DeltaModel.split_at_first_patch`.
    """

    def __init__(self, model: "DeltaModel", patch: str) -> None:
        super().__init__()
        self.model = model
        self.patch = patch

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        return self.model.prefix(x, self.patch)


class Suffix(nn.Module):
    """The trainable part of a model under one patch: output of `Prefix` -> logits (B, N)."""

    def __init__(self, model: "DeltaModel", patch: str) -> None:
        super().__init__()
        self.model = model
        self.patch = patch

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        return self.model.suffix(x, self.patch)
