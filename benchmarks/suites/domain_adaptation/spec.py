"""What a run of Table 6 is: two domains, one method, one seed."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from benchmarks.nets.full_size import backbone_params, delta_params
from benchmarks.records.names import DOMAIN_ADAPTATION
from benchmarks.records.rows import SCRATCH, Scale
from delta_core import DeltaConfig
from delta_core.training.identity import content_id, derive_seed
from delta_core.training.recipe import Recipe

Setting = Literal["zero-shot", "unsupervised DA", "target labels"]
"""What a method may see of the target: nothing, images of its training split, or their labels too."""
NetSize = Literal["slim", "full"]


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Adam at a peak rate that falls to 0 by a cosine; ADDA's own rates are constant."""

    steps: int
    """Rounded up to whole epochs."""
    lr: float
    batch_size: int = 128

    def recipe(self, examples: int) -> Recipe:
        """The recipe of the training loop for a split of so many examples."""
        steps_per_epoch = math.ceil(examples / self.batch_size)
        return Recipe(
            epochs=math.ceil(self.steps / steps_per_epoch),
            lr=self.lr,
            head_lr=self.lr,
            batch_size=self.batch_size,
            weight_decay=0.0,
            warmup_steps=0,
            clip_norm=None,
            views=1,
        )


@dataclass(frozen=True, kw_only=True)
class PriorConfig:
    """Uniform prior (Sinha et al. 2022). Weight and rate are those of URM (TMLR 2024); the paper names none."""

    weight: float = 0.1
    discriminator_lr: float = 1e-3


@dataclass(frozen=True, kw_only=True)
class AddaConfig:
    """ADDA (Tzeng et al. 2017; erictzeng/adda): schedule of the target encoder, and what its discriminator sees."""

    schedule: Schedule
    discriminator_lr: float = 2e-4
    beta1: float = 0.5
    """First momentum of both Adams."""
    sees: Literal["features", "logits"] = "features"
    """`features` as Table 6 is read here; `logits` as ADDA's own code has it."""


@dataclass(frozen=True, kw_only=True)
class StartSpec:
    """Training of a net from scratch on one labelled domain: a row of its own, and where ADDA starts."""

    architecture: str
    net: NetSize
    domain: str
    data: str
    image_size: int
    schedule: Schedule
    prior: PriorConfig | None
    delta: DeltaConfig | None
    seed: int

    @cached_property
    def run_id(self) -> str:
        """Identity of the checkpoint."""
        return content_id(self)

    def draw(self, purpose: str) -> int:
        """A seed for one purpose; nets with and without modules or prior share the backbone's and the batches'."""
        return derive_seed(purpose, self.architecture, self.domain, self.seed)


@dataclass(frozen=True, kw_only=True)
class DomainMethod:
    """A row of Table 6: a net from scratch that learns one domain's labels, and may be adapted to another.

    Every field is science: it becomes part of the run's identity.
    """

    learns_from: Literal["source", "target"]
    """Whose labels are learnt; `target` is the upper reference."""
    recipe: Schedule
    """Of the training on labels."""
    prior: PriorConfig | None = None
    delta: DeltaConfig | None = None
    """Modules that train together with the backbone."""
    adda: AddaConfig | None = None

    @property
    def name(self) -> str:
        """As in the paper's CSV, e.g. `adda+uniform_prior+delta_networks`."""
        first = "target_only" if self.learns_from == "target" else "adda" if self.adda else "vanilla"
        return first + ("+uniform_prior" if self.prior else "") + ("+delta_networks" if self.delta else "")

    @property
    def setting(self) -> Setting:
        """What it may see of the target."""
        if self.learns_from == "target":
            return "target labels"
        return "unsupervised DA" if self.adda else "zero-shot"

    @property
    def variant(self) -> str:
        """The setting, and ADDA's option where it is used."""
        return self.setting + (", on logits" if self.adda and self.adda.sees == "logits" else "")

    @property
    def n_delta_modules(self) -> int:
        """0 for rows without modules."""
        return self.delta.n_modules if self.delta else 0

    def full_size_params(self, architecture: str) -> int:
        """The whole net and its modules, if any."""
        return backbone_params(architecture) + (delta_params(architecture, self.delta) if self.delta else 0)

    def training_images(self, in_task: int | None) -> int:  # noqa: ARG002
        """Images that training reads: steps count, and ADDA's are of source and target."""
        adapting = 2 * self.adda.schedule.steps * self.adda.schedule.batch_size if self.adda else 0
        return self.recipe.steps * self.recipe.batch_size + adapting

    @property
    def share_of_full_training(self) -> float:
        """Everything trains."""
        return 1.0

    @property
    def h100_hours(self) -> None:
        """Not known otherwise than from images."""


@dataclass(frozen=True, kw_only=True)
class DomainSpec:
    """One cell and seed of Table 6."""

    suite: str = DOMAIN_ADAPTATION
    scale: Scale
    architecture: str
    net: NetSize
    """`slim` = the embedded scale's narrow net of that name."""
    weights: str = SCRATCH
    source: str
    source_data: str
    """Identity of the data: a version of drawn data, or a hash of its files."""
    target: str
    target_data: str
    method: DomainMethod
    image_size: int = 32
    seed: int

    @cached_property
    def run_id(self) -> str:
        """Twelve hexadecimal digits that identify the science of this run."""
        return content_id(self)

    @property
    def task(self) -> str:
        """The transfer, as the paper writes it: `mnist->usps`."""
        return transfer(self.source, self.target)

    @property
    def data_names(self) -> tuple[str, ...]:
        """Both domains: every net is measured on both, whatever it learnt from."""
        return (self.source, self.target)

    @property
    def protocol(self) -> str:
        """What must agree before two measurements may stand in one table."""
        adda = f",adapt={self.method.adda.schedule.steps}" if self.method.adda else ""
        recipe = self.method.recipe
        return f"px={self.image_size},net={self.net},batch={recipe.batch_size},steps={recipe.steps}{adda}"

    @property
    def start(self) -> StartSpec:
        """The training on labels that this run consists of or begins with."""
        on_source = self.method.learns_from == "source"
        return StartSpec(
            architecture=self.architecture,
            net=self.net,
            domain=self.source if on_source else self.target,
            data=self.source_data if on_source else self.target_data,
            image_size=self.image_size,
            schedule=self.method.recipe,
            prior=self.method.prior,
            delta=self.method.delta,
            seed=self.seed,
        )


def transfer(source: str, target: str) -> str:
    """Name of a transfer.

    >>> transfer("mnist", "usps")
    'mnist->usps'
    """
    return f"{source}->{target}"
