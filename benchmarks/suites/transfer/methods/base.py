"""What the nine methods share: one net, one training loop, accuracy after every epoch."""

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import ClassVar

import torch

from benchmarks.methods.base import Cell, Method, Outcome
from benchmarks.nets.full_size import backbone_params, delta_params
from benchmarks.suites.transfer.data import PairedViews, as_they_are
from benchmarks.suites.transfer.methods.epoch_tests import EpochTests
from delta_core import DeltaConfig, DeltaModel, JointDelta, backbone_fingerprint
from delta_core.training.data.splits import Split, eval_batches
from delta_core.training.engine import train_module
from delta_core.training.objective import Objective

TASK = "task"


@dataclass(frozen=True, kw_only=True)
class Transfer(Method):
    """Fine-tune the whole backbone at `recipe.lr`; a new head, and Delta-modules if any, learn at `recipe.head_lr`."""

    two_views: ClassVar[bool] = False
    """Whether training needs two views of each image, (B, 2, 3, S, S) instead of (B, 3, S, S)."""
    config: DeltaConfig | None = None
    """Delta-modules that train along with the backbone; the paper does not say that it stays frozen in Table 5, and
    frozen nets do not reach its numbers."""
    arm: str = ""
    """Name of a variation beside the method itself."""

    @property
    def variant(self) -> str:
        """The variation."""
        return self.arm

    @property
    def n_delta_modules(self) -> int:
        """Number of gated blocks, counted from the last."""
        return self.config.n_modules if self.config else 0

    def full_size_params(self, architecture: str) -> int:
        """The whole net and its modules, if any."""
        return backbone_params(architecture) + (delta_params(architecture, self.config) if self.config else 0)

    def training_images(self, in_task: int | None) -> int | None:
        """Images that training reads; by steps, where the recipe counts those."""
        recipe = self.recipe
        if recipe.steps_per_epoch:
            return recipe.epochs * recipe.steps_per_epoch * recipe.batch_size
        return super().training_images(in_task)

    @abstractmethod
    def prepare(self, net: JointDelta, cell: Cell) -> Objective:
        """Make a fresh net ready for this method, in place; returns what training minimises."""

    def measure(self, cell: Cell) -> Outcome:
        """Train once; measure after the last epoch, and the best epoch on the test split as `oracle`."""
        started = cell.stages.clock.seconds()
        net = new_net(cell, self.config)
        objective = self.prepare(net, cell)
        train: Split = cell.task.train
        if self.two_views:
            train = PairedViews(splits=(train, train))
        tests = EpochTests(net, cell, epochs=self.recipe.epochs)
        steps = train_module(
            net,
            net.patch,
            train,
            self.recipe,
            cell.fabric,
            seed=cell.order_seed,
            objective=objective,
            watch=tests,
            checkpoint=cell.stages.training("training"),
        )
        train_s = cell.stages.clock.seconds() - started - tests.seconds
        best = replace(max(tests.found, key=lambda found: found.value), selection="oracle")
        params_head = sum(parameter.numel() for parameter in net.head.parameters())
        params = sum(parameter.numel() for parameter in net.parameters() if parameter.requires_grad)
        return Outcome(
            measurements=(cell.measure_task(net, "val"), tests.found[-1], best),
            params_delta=params - params_head,
            params_head=params_head,
            steps=steps,
            train_s=train_s,
            backbone_sha_after=backbone_fingerprint(net.backbone),
            base_logits_equal=None,
        )


def new_net(cell: Cell, config: DeltaConfig | None) -> JointDelta:
    """A fresh copy of the backbone with a new head, and Delta-modules if asked for, that trains as a whole."""
    model = DeltaModel(cell.new_backbone())
    with seeded(cell.init_seed):
        model.add_patch(TASK, num_classes=cell.task.classes, config=config)
    if config and config.norm_start == "identity":
        model.calibrate(eval_batches(as_they_are(cell.task.train), cell.fabric.device))
    return JointDelta(model)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Random numbers of the CPU from a seed of their own, inside the context."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield
