"""BatchNormAdapt (Table 1): the task's own BatchNorm statistics by DUA (Mirza et al. 2022, jmiemirza/DUA), and a head.

DUA has no head for new classes, and it adapts to test images; here statistics come from training images of the task,
and a linear head is trained on the adapted, frozen features (the paper does not say how).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torchvision.transforms import v2

from benchmarks.methods.adapted import own_norms, sharing_copy
from benchmarks.methods.base import EVAL_SPLITS, Cell, Method, Outcome
from benchmarks.methods.frozen import TASK, base_after, features_of
from benchmarks.nets.full_size import prefix_shape
from delta_core import DeltaModel, backbone_fingerprint
from delta_core.training.data.splits import channels_last, split_in_epoch
from delta_core.training.errors import UserError
from delta_core.training.patch import train_patch

IMAGES = 80
"""Images that statistics are adapted on, one at a time."""

COPIES = 64
"""Augmented copies of an image that make its batch."""


def momenta(images: int = IMAGES) -> tuple[float, ...]:
    """DUA's momentum at each image: 0.1 falls by 6 % before every image, and never below 0.005.

    >>> [round(momentum, 5) for momentum in momenta(3)]
    [0.099, 0.09336, 0.08806]
    """
    return tuple(0.1 * 0.94**step + 0.005 for step in range(1, images + 1))


@dataclass(frozen=True, kw_only=True)
class BatchNormAdapt(Method):
    """Adapt the statistics of all BatchNorms to the task, then train the head alone."""

    name: ClassVar[str] = "batchnorm_adapt"

    def suits(self, architecture: str) -> bool:
        """ConvNeXt has no BatchNorm."""
        return not architecture.startswith("convnext")

    def full_size_params(self, architecture: str) -> int:  # noqa: ARG002
        """Statistics are no parameters; the head alone trains."""
        return 0

    def feature_shape(self, architecture: str, image_size: int) -> tuple[int, ...]:
        """What goes into the head."""
        return prefix_shape(architecture, None, image_size)

    def measure(self, cell: Cell) -> Outcome:
        """Adapt, train the head on the cell's task, and measure task and base.

        Raises:
            UserError: for a net without BatchNorm.
        """
        started = cell.stages.clock.seconds()
        backbone = cell.new_backbone()
        net = sharing_copy(backbone)
        own_norms(net)
        adapt_statistics_(net, _augmented(cell))
        model = DeltaModel(net)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(cell.init_seed)
            model.add_patch(TASK, num_classes=cell.task.classes, config=None)
        features = features_of(cell, model, self.recipe)
        steps = train_patch(
            model,
            features,
            cell.task.named("train"),
            self.recipe,
            cell.fabric,
            seed=cell.order_seed,
            checkpoint=cell.stages.training("training"),
        )
        train_s = cell.stages.clock.seconds() - started
        _, head = model.split_at_first_patch()
        val, test = (features.of(cell.task.named(part)) for part in EVAL_SPLITS)
        seen = replace(cell, task=replace(cell.task, val=val, test=test))
        task = tuple(seen.measure_task(head, split) for split in EVAL_SPLITS)
        base, equal = base_after(cell, backbone)
        return Outcome(
            measurements=(*cell.before(), *base, *task),
            params_delta=0,
            params_head=model.count_parameters().head,
            steps=steps,
            train_s=train_s,
            backbone_sha_after=backbone_fingerprint(backbone),
            base_logits_equal=equal,
        )


@torch.no_grad()
def adapt_statistics_(net: nn.Module, batches: Iterator[Tensor]) -> None:
    """Move running statistics towards each batch (B, 3, H, W) by DUA's momenta; weights stay.

    Raises:
        UserError: if there are no statistics to move.
    """
    norms = [module for module in net.modules() if isinstance(module, _BatchNorm)]
    if not norms:
        raise UserError(
            f"{type(net).__name__} has no BatchNorm whose statistics could be adapted; leave the method out."
        )
    usual = [norm.momentum for norm in norms]
    net.eval()
    for images, momentum in zip(batches, momenta(), strict=False):
        for norm in norms:
            norm.momentum = momentum
            norm.train()
        net(images)
    for norm, momentum in zip(norms, usual, strict=True):  # type: ignore[assignment]
        norm.momentum = momentum
        norm.eval()


def _augmented(cell: Cell) -> Iterator[Tensor]:
    """Batches (COPIES, 3, S, S): one training image each, shifted by up to an eighth, mirrored and turned at random."""
    labels = cell.task.train.labels
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(cell.order_seed))[:IMAGES]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(cell.order_seed)
        train = split_in_epoch(cell.task.train, 0, cell.order_seed)
        for image in train.batches(1, device=cell.fabric.device, order=order):
            side = image.shape[-1]
            view = v2.Compose([v2.RandomCrop(side, padding=side // 8), v2.RandomHorizontalFlip()])
            quarters = torch.randint(0, 4, (COPIES,)).tolist()
            yield channels_last(torch.stack([torch.rot90(view(image[0]), turn, (1, 2)) for turn in quarters]))
