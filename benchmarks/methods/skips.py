"""Table 8: what one may do with the skip connections of a frozen net, short of letting them depend on the input."""

from dataclasses import dataclass, replace
from typing import ClassVar

import torch

from benchmarks.methods.base import Cell, Measurement, Method, Outcome
from benchmarks.methods.delta import DeltaNetworks
from benchmarks.methods.frozen import SHARE_OF_FULL_TRAINING, Trained, measure_patch, outcome_of, train_cell
from benchmarks.nets.full_size import added_gmac, delta_params, prefix_shape
from benchmarks.records.names import FRESH_NORM, MEAN_GATES
from delta_core import DeltaConfig
from delta_core.config import Gating, NormStart
from delta_core.training.data.splits import eval_batches
from delta_core.training.gate_values import gate_statistics, gates_of, with_mean_gates
from delta_core.training.recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class Skips(Method):
    """A gating policy of delta_core on all four blocks; names are those of the paper's Table 8."""

    config: DeltaConfig

    @property
    def variant(self) -> str:
        """How the BatchNorm starts, where it is not as the default's does."""
        return FRESH_NORM if self.config.norm_place != "none" and self.config.norm_start == "fresh" else ""

    def full_size_params(self, architecture: str) -> int:
        """Those of the policy's scalars and BatchNorms."""
        return delta_params(architecture, self.config)

    @property
    def share_of_full_training(self) -> float:
        """Backward down to the first block that the policy changes."""
        return SHARE_OF_FULL_TRAINING.get(self.config.n_modules, 1.0)

    def feature_shape(self, architecture: str, image_size: int) -> tuple[int, ...]:
        """What goes into the first block that changes."""
        return prefix_shape(architecture, self.config, image_size)

    def measure(self, cell: Cell) -> Outcome:
        """Train the policy's scalars, its BatchNorms and the head on the cell's task."""
        return measure_patch(cell, self.config, self.recipe)


@dataclass(frozen=True, kw_only=True)
class LearnableSkips(Skips):
    """The net's own skips get one learnable weight each."""

    name: ClassVar[str] = "learnable_skips"


@dataclass(frozen=True, kw_only=True)
class AllSkipsLearnable(Skips):
    """All k(k+1)/2 skips, one learnable weight each."""

    name: ClassVar[str] = "all_skips_learnable"


@dataclass(frozen=True, kw_only=True)
class AllSkipsLearnableNorm(Skips):
    """All skips, learnable, and the BatchNorm."""

    name: ClassVar[str] = "all_skips_learnable+bn"


@dataclass(frozen=True, kw_only=True)
class AllSkips(Skips):
    """All skips at weight 1."""

    name: ClassVar[str] = "all_skips"


@dataclass(frozen=True, kw_only=True)
class AllSkipsNorm(Skips):
    """All skips at weight 1, and the BatchNorm."""

    name: ClassVar[str] = "all_skips+bn"


@dataclass(frozen=True, kw_only=True)
class RandomSkips(Skips):
    """All skips at fixed weights, drawn once per run from U(0, 1), and the BatchNorm; the paper does not define it."""

    name: ClassVar[str] = "random"


def table8_policies(recipe: Recipe) -> list[Skips]:
    """The rows of Table 8 between a new head and Delta-Networks, in the paper's order."""

    def plain(gating: Gating) -> DeltaConfig:
        return DeltaConfig.gates_alone(gating=gating, norm_place="none", norm_start="fresh")

    def with_norm(kind: type[Skips], gating: Gating) -> list[Skips]:
        starts: tuple[NormStart, ...] = ("identity", "fresh")  # the default's, and the paper's reading
        return [
            kind(recipe=recipe, config=DeltaConfig.gates_alone(gating=gating, norm_start=start)) for start in starts
        ]

    return [
        LearnableSkips(recipe=recipe, config=plain("existing-only")),
        AllSkipsLearnable(recipe=recipe, config=plain("learnable")),
        *with_norm(AllSkipsLearnableNorm, "learnable"),
        AllSkips(recipe=recipe, config=plain("ones")),
        *with_norm(AllSkipsNorm, "ones"),
        *with_norm(RandomSkips, "random"),
    ]


@dataclass(frozen=True, kw_only=True)
class DeltaGates(DeltaNetworks):
    """Delta-Networks that also records its gates, and measures the same patch with gates held at their mean."""

    def measure(self, cell: Cell) -> Outcome:
        """Train a patch, measure it, then again with every gate fixed at its mean over the training images."""
        trained = train_cell(cell, self.config, self.recipe)
        outcome = outcome_of(trained)
        test = eval_batches(trained.features_of("test"), cell.fabric.device)
        gates = gate_statistics(trained.model, gates_of(trained.model, trained.suffix, test), cell.task.test.labels)
        control = (*_mean_gates(trained, self.recipe.views), *_base_again(cell, outcome))
        control = tuple(replace(found, variant=self.variant + MEAN_GATES) for found in control)
        return replace(outcome, measurements=(*outcome.measurements, *control), gates=tuple(gates))


@dataclass(frozen=True, kw_only=True)
class DeltaArm(DeltaNetworks):
    """An arm of our own ablations: Delta-Networks, and what they cost on the full-size net."""

    def measure(self, cell: Cell) -> Outcome:
        """Train and measure a patch; `added_gmac` is counted, not timed."""
        outcome = measure_patch(cell, self.config, self.recipe)
        gmac = Measurement(
            column=cell.task.name,
            split="val",
            value=added_gmac(cell.architecture, self.config),
            n_examples=1,
            metric="added_gmac",
        )
        return replace(outcome, measurements=(*outcome.measurements, gmac))


def _mean_gates(trained: Trained, views: int) -> tuple[Measurement, ...]:
    """Accuracy with gates fixed at their mean over the training images as they were trained on."""
    cell, model = trained.cell, trained.model
    train, run = (trained.features_of("train"), trained.suffix) if views else (cell.task.train, model)
    with torch.random.fork_rng(devices=[]):
        gates = gates_of(model, run, eval_batches(train, cell.fabric.device))
    _, suffix = with_mean_gates(model, gates).split_at_first_patch()
    return trained.measure(suffix)


def _base_again(cell: Cell, outcome: Outcome) -> list[Measurement]:
    """Base accuracy of the control: its base is the same untouched net."""
    return [found for found in outcome.measurements if found.column != cell.task.name and found.phase == "after"]
