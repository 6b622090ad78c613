"""How tables speak of the methods: name in rows, label for the reader, role, in the order of the tables.

Reports read this file, so it imports no torch: a class is named here and loaded where it is measured.
"""

from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

from benchmarks.records.names import GATES_ALONE, LITERAL, MAPS

Role = Literal["method", "oracle", "reference"]
"""`method` competes for the best cell; `oracle` was selected on the test split; `reference` gives up the base task."""


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A method that tables name."""

    name: str
    """As in rows; `ours` in the label marks baselines that the paper does not have."""
    label: str
    role: Role = "method"


@dataclass(frozen=True, kw_only=True)
class Joining(Listed):
    """A method of Table 1 that joins each other patching table when it is named."""

    cls: str
    """Class in the file of that name in this folder."""
    recipe: Literal["head", "adapters", "tuning"]
    """Which of a scale's recipes trains it (`benchmarks.worlds.recipes.Recipes`)."""

    def load(self) -> Any:
        """The class."""
        return getattr(import_module(f"benchmarks.methods.{self.name}"), self.cls)


@dataclass(frozen=True, kw_only=True)
class Policy(Listed):
    """What Table 8 does with the skips of a frozen net."""

    has_norm: bool = False
    """Whether a BatchNorm trains, which may start in two ways."""


FC_ONLY = Listed(name="fc_only", label="FC-only")
PAINT = Listed(name="paint", label="PAINT")
FINETUNE = Listed(name="finetune", label="full fine-tuning", role="reference")
DELTA = Listed(name="delta_networks", label="Delta")

JOINING = (
    Joining(name="parallel_adapters", label="parallel adapters", cls="ParallelAdapters", recipe="adapters"),
    Joining(name="series_adapters", label="series adapters", cls="SeriesAdapters", recipe="adapters"),
    Joining(name="batchnorm_adapt", label="BatchNormAdapt (DUA + FC)", cls="BatchNormAdapt", recipe="head"),
    Joining(name="norm_tuning", label="norm tuning (ours)", cls="NormTuning", recipe="tuning"),
    Joining(name="bitfit", label="BitFit (ours)", cls="BitFit", recipe="tuning"),
    Joining(name="ssf", label="SSF (ours)", cls="ScaleShift", recipe="tuning"),
    Joining(name="lora", label="LoRA (ours)", cls="Lora", recipe="tuning"),
    Joining(name="ia3", label="IA3 (ours)", cls="Ia3", recipe="tuning"),
)  # fmt: skip

PEERS = (
    Joining(name="conv_adapter", label="Conv-Adapter (ours)", cls="ConvAdapters", recipe="tuning"),
    Joining(name="dora", label="DoRA (ours)", cls="Dora", recipe="tuning"),
    Joining(name="loha", label="LoHa (ours)", cls="Loha", recipe="tuning"),
    Joining(name="lokr", label="LoKr (ours)", cls="Lokr", recipe="tuning"),
    Joining(name="oft", label="OFT (ours)", cls="Oft", recipe="tuning"),
    Joining(name="boft", label="BOFT (ours)", cls="Boft", recipe="tuning"),
    Joining(name="side_tuning", label="side tuning (ours)", cls="SideTuning", recipe="tuning"),
    Joining(name="last_stage", label="last stages (ours)", cls="LastStage", recipe="tuning"),
)  # fmt: skip
"""Rows of the study of adapters that Table 1 does not have."""

SKIPS = (
    Policy(name="learnable_skips", label="existing skips, learnable"),
    Policy(name="all_skips_learnable", label="all skips, learnable"),
    Policy(name="all_skips_learnable+bn", label="all skips, learnable + BN", has_norm=True),
    Policy(name="all_skips", label="all skips at 1"),
    Policy(name="all_skips+bn", label="all skips at 1 + BN", has_norm=True),
    Policy(name="random", label="all skips, random + BN", has_norm=True),
)
"""Table 8 between a new head and Delta-Networks."""

READING_LABELS = {MAPS: "", GATES_ALONE: "gates alone", LITERAL: "paper"}
"""What stands behind `Delta (n)`, by the reading's name in rows."""

SCRATCH_LABELS = {"standard": "from scratch", "delta_networks": "Delta (4) from scratch"}
"""Tables 12 and 13."""

LABELS = {each.name: each.label for each in (FC_ONLY, PAINT, FINETUNE, DELTA, *JOINING, *PEERS, *SKIPS)}
