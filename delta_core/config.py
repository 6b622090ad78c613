"""Configuration of one patch: which blocks are gated, how, and how the gates start."""

from dataclasses import dataclass
from typing import Literal, Self, get_args

from delta_core.errors import DeltaError

Gating = Literal["delta", "learnable", "ones", "random", "existing-only"]
GateStart = Literal["half", "identity"]
NormPlace = Literal["output", "skip_sum", "none"]
NormStart = Literal["fresh", "identity"]
ModuleInput = Literal["full", "stride2", "pool7"]


@dataclass(frozen=True, kw_only=True)
class DeltaConfig:
    """Delta-Networks (n): gates over all skip connections of the last `n_modules` blocks (paper, Section 2).

    The defaults are what measured best on validation data (`delta_core/DECISIONS.md`); `DeltaConfig.paper()` is the
    literal reading of the paper. Counts of parameters do not depend on any option but `n_modules`, `gating`
    and `reduction`.
    """

    n_modules: int = 4
    """Number of gated blocks, counted from the last one (paper, Section 3, Setup: 1, 2 or 4)."""
    gating: Gating = "delta"
    """Where the gates come from: `delta` = input-conditioned Delta-module; the others are the ablations of Table 8:
    `learnable` = one free scalar per skip, `ones` = all skips at weight 1, `random` = fixed draws from U(0, 1),
    `existing-only` = free scalars on the identity skips that the net already has, no new skips."""
    reduction: int = 2
    """Width of the module is C / `reduction`; 2 meets all printed parameter counts (Tables 2 and 10)."""
    gate_start: GateStart = "identity"
    """`half`: every gate starts at sigmoid(0) = 0.5 (paper). `identity`: existing skips start above, new ones below."""
    gate_start_logit: float = 1.0
    """Distance of an `identity` start from 0.5, in logits: gates start at sigmoid(+-1) = 0.73 and 0.27."""
    norm_place: NormPlace = "output"
    """Where the block's one BatchNorm sits: on the block output, on the skip sum that enters the last sub-block, or
    nowhere."""
    norm_start: NormStart = "identity"
    """`fresh`: unit affine (paper). `identity`: statistics of the base features, affine set to undo the
    normalisation; needs `DeltaModel.calibrate`."""
    module_input: ModuleInput = "full"
    """What the Delta-module looks at: the block input as it is, with stride 2 in its first convolution, or
    average-pooled to at most 7 x 7. Same parameters, different cost."""

    def __post_init__(self) -> None:
        """Refuse values outside the declared choices."""
        for name, choices in (
            ("gating", Gating),
            ("gate_start", GateStart),
            ("norm_place", NormPlace),
            ("norm_start", NormStart),
            ("module_input", ModuleInput),
        ):
            value = getattr(self, name)
            if value not in get_args(choices):
                raise DeltaError(f"DeltaConfig.{name} is {value!r}; choose one of {', '.join(get_args(choices))}.")
        for name in ("n_modules", "reduction"):
            if not isinstance(getattr(self, name), int) or getattr(self, name) < 1:
                raise DeltaError(f"DeltaConfig.{name} is {getattr(self, name)}; give a whole number of at least 1.")

    @classmethod
    def paper(cls, *, n_modules: int = 4) -> Self:
        """The literal reading of the paper: gates start at 0.5, a fresh BatchNorm on the block output."""
        return cls(n_modules=n_modules, gate_start="half", norm_place="output", norm_start="fresh", module_input="full")
