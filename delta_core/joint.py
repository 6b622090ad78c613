"""A backbone and a patch that train together (paper, Tables 5, 6, 12 and 13): no frozen base, and no claim of one."""

import copy
from typing import cast

from torch import Tensor, nn

from delta_core.families import Block, base_head, pool
from delta_core.families.base import submodule
from delta_core.model import DeltaModel


class JointDelta(nn.Module):
    """Copies of a model's backbone and of one of its patches, as one ordinary net that trains as a whole.

    This is the one door out of the freezing contract. The model it is made from keeps its frozen backbone and may go
    on serving, for instance as the fixed source net of a regulariser. The forward interface is that of timm's nets.
    The base head is not on the way and takes no gradient.

    Args:
        model: with a patch.
        name: the patch to take along, by default the active one.

    Raises:
        DeltaError: if the patch is not there or waits for `DeltaModel.calibrate`.

    Example:
        >>> import timm, torch
        >>> from delta_core import DeltaConfig
        >>> model = DeltaModel(timm.create_model("resnet10t"))
        >>> model.add_patch("digits", num_classes=10, config=DeltaConfig.paper(n_modules=4))
        >>> net = JointDelta(model)
        >>> net(torch.zeros(2, 3, 32, 32)).sum().backward()
        >>> net.backbone.layer1[0].conv1.weight.grad is None
        False
        >>> model.assert_frozen()
    """

    def __init__(self, model: DeltaModel, name: str | None = None) -> None:
        super().__init__()
        self.stages = model.stages
        self.backbone = copy.deepcopy(model.backbone).requires_grad_(True)
        self.patch = copy.deepcopy(model.ready_patch(name))
        base_head(self.backbone).requires_grad_(False)
        self.train()

    @property
    def head(self) -> nn.Module:
        """The patch's classifier."""
        return self.patch.head

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) -> logits (B, N)."""
        return self.forward_head(self.forward_features(x))

    def forward_features(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) -> features (B, C, H', W') before pooling."""
        image = x
        for stage in self.stages:
            part = self.patch.of(stage) if isinstance(stage, Block) else None
            if part is not None:
                x = part(self.backbone, x, image=image)
                continue
            for name in stage.modules:
                x = submodule(self.backbone, name)(x)
        return x

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Features (B, C, H', W') -> logits (B, N), or pooled features (B, F) if `pre_logits`."""
        x = pool(self.backbone, x)
        return x if pre_logits else cast(Tensor, self.head(x))
