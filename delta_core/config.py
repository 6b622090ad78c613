"""Configuration of one patch: which blocks are gated, how, and how the gates start."""

import reprlib
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, Self, get_args

from delta_core.errors import DeltaError

Gating = Literal["delta", "learnable", "ones", "random", "existing-only"]
GateStart = Literal["half", "identity"]
NormPlace = Literal["output", "skip_sum", "none"]
NormStart = Literal["fresh", "identity"]
ModuleInput = Literal["full", "stride2", "pool7"]
Skips = Literal["all", "new"]
GatePer = Literal["skip", "channel"]


@dataclass(frozen=True, kw_only=True)
class DeltaConfig:
    """Delta-Networks (n): gates over all skip connections of the last `n_modules` blocks (paper, Section 2).

    The defaults are what measured best on validation data (`delta_core/DECISIONS.md`); `DeltaConfig.paper()` is the
    literal reading of the paper. Counts of parameters depend on `n_modules`, `blocks_after`, `gating`, `skips`,
    `gate_per`, `reduction` and on whether there is a BatchNorm.

    Raises:
        DeltaError: for a value outside the declared choices.

    Example:
        >>> DeltaConfig(n_modules=2, gating="learnable").n_modules
        2
        >>> DeltaConfig(gating="learned")
        Traceback (most recent call last):
        delta_core.errors.DeltaError: DeltaConfig.gating is 'learned'; choose one of delta, learnable, ones, random, \
existing-only.
    """

    n_modules: int = 4
    """Number of gated blocks, counted from the last one (paper, Section 3, Setup: 1, 2 or 4)."""
    blocks_after: int = 0
    """Number of blocks behind the gated ones that stay as they are."""
    gating: Gating = "delta"
    """Where the gates come from: `delta` = input-conditioned Delta-module; the others are the ablations of Table 8:
    `learnable` = one free scalar per skip, `ones` = all skips at weight 1, `random` = fixed draws from U(0, 1),
    `existing-only` = free scalars on the identity skips that the net already has, no new skips."""
    skips: Skips = "all"
    """`all`: the net's own skips are gated too, k(k+1)/2 in a block (paper). `new`: its own stay at weight 1."""
    gate_per: GatePer = "skip"
    """One gate for all channels of a skip (as the paper draws them), or one for each of its channels."""
    reduction: int = 2
    """Width of the module is C / `reduction`; 2 meets all printed parameter counts (Tables 2 and 10)."""
    gate_start: GateStart = "half"
    """`half`: every gate starts at sigmoid(0) = 0.5 (paper). `identity`: existing skips start above, new ones below."""
    gate_start_logit: float = 1.0
    """Distance of an `identity` start from 0.5, in logits: gates start at sigmoid(+-1) = 0.73 and 0.27."""
    norm_place: NormPlace = "output"
    """Where the block's one BatchNorm sits: on the block output, on the skip sum that enters the last sub-block, or
    nowhere."""
    norm_start: NormStart = "identity"
    """`fresh`: unit affine (paper). `identity`: statistics of the base features, affine set to undo the
    normalisation; needs `DeltaModel.calibrate`."""
    module_input: ModuleInput = "pool7"
    """What the Delta-module looks at: the block input as it is (paper), with stride 2 in its first convolution, or
    average-pooled to at most 7 x 7. Same parameters; the last costs least and measured best."""

    def __post_init__(self) -> None:
        """Refuse values outside the declared choices."""
        for name, choices in (
            ("gating", Gating),
            ("gate_start", GateStart),
            ("norm_place", NormPlace),
            ("norm_start", NormStart),
            ("module_input", ModuleInput),
            ("skips", Skips),
            ("gate_per", GatePer),
        ):
            value = getattr(self, name)
            if value not in get_args(choices):
                given = reprlib.repr(value)
                raise DeltaError(f"DeltaConfig.{name} is {given}; choose one of {', '.join(get_args(choices))}.")
        for name, least in (("n_modules", 1), ("reduction", 1), ("blocks_after", 0)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise DeltaError(
                    f"DeltaConfig.{name} is {reprlib.repr(value)}; give a whole number of at least {least}."
                )
        if self.gating == "existing-only" and (self.skips, self.gate_per) != ("all", "skip"):
            raise DeltaError(
                "DeltaConfig.gating is 'existing-only', which has one gate for each skip of the net and no new ones; "
                "leave skips at 'all' and gate_per at 'skip'."
            )
        logit = self.gate_start_logit
        if not isinstance(logit, int | float) or isinstance(logit, bool) or not -100 <= logit <= 100:
            raise DeltaError(
                f"DeltaConfig.gate_start_logit is {reprlib.repr(logit)}; give a number from -100 to 100, "
                "beyond which a sigmoid does not change."
            )

    @classmethod
    def paper(cls, *, n_modules: int = 4) -> Self:
        """The literal reading of the paper: gates start at 0.5, a fresh BatchNorm on the block output."""
        return cls(n_modules=n_modules, gate_start="half", norm_place="output", norm_start="fresh", module_input="full")

    def to_dict(self) -> dict[str, Any]:
        """Every option by name, as plain values that JSON can hold.

        >>> DeltaConfig.from_dict(DeltaConfig().to_dict()) == DeltaConfig()
        True
        """
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read `to_dict`. Options that are not known, from a newer version, are dropped with a warning.

        Raises:
            DeltaError: if a value is outside the declared choices.
        """
        known = {option.name for option in fields(cls)}
        if unknown := sorted(values.keys() - known):
            warnings.warn(f"DeltaConfig has no {reprlib.repr(unknown)}; this version ignores them.", stacklevel=2)
        return cls(**{name: value for name, value in values.items() if name in known})
