"""Configuration of one patch: which blocks are gated, how, and how the gates start."""

import reprlib
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, Self, get_args

from delta_core.errors import DeltaError

Gating = Literal["delta", "learnable", "ones", "random", "existing-only"]
GateStart = Literal["half", "identity"]
NormPlace = Literal["output", "skip_sum", "none"]
NormStart = Literal["fresh", "identity"]
ModuleInput = Literal["full", "stride2", "pool7"]
Skips = Literal["all", "new"]
GatePer = Literal["skip", "channel"]
GateRange = Literal["unit", "around_base"]
SkipMap = Literal["identity", "channel", "low_rank", "depthwise"]
SkipMapPer = Literal["node", "skip"]
ModuleKernel = Literal[1, 3]
ModuleReads = Literal["block", "image"]

WITHOUT = "without this field"
"""Metadata of an option that came later: what it was while it was not there, which is what a patch file or the identity
of a recorded run means that does not have it. Its default may be another."""


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
    gate_range: GateRange = field(default="around_base", metadata={WITHOUT: "unit"})
    """`unit`: a sigmoid, 0 to 1 (paper). `around_base`: the net's own skips within 1 +- 1 and new ones within 0 +- 1 by
    tanh, so that with `gate_start="identity"` the first forward pass is that of the base."""
    skip_map: SkipMap = field(default="low_rank", metadata={WITHOUT: "identity"})
    """S_w, what a skip does to the node it carries before its gate weights it (paper, Eq. 3 and 4): nothing, or what is
    added to the identity and starts at zero: a weight for each channel, a matrix of rank `skip_map_rank` (two 1 x 1
    convolutions), or a 3 x 3 depthwise convolution."""
    skip_map_rank: int = field(default=16, metadata={WITHOUT: 16})
    """Rank of `low_rank`, at most half of the channels, beyond which a full matrix would be smaller."""
    skip_map_per: SkipMapPer = field(default="node", metadata={WITHOUT: "node"})
    """One map for all skips that enter a node, applied to their gated sum, or one for each skip."""
    reduction: int = 16
    """Width of the module is C / `reduction`; 2 meets all printed parameter counts (Tables 2 and 10)."""
    module_kernel: ModuleKernel = field(default=1, metadata={WITHOUT: 3})
    """Size of the module's two convolutions, 3 (paper) or 1."""
    module_reads: ModuleReads = field(default="block", metadata={WITHOUT: "block"})
    """What enters the block, which the printed counts of parameters say, or the image, as Algorithm 1 of the paper has
    it; then nothing in front of the first gated block can be computed once and kept."""
    gate_start: GateStart = "identity"
    """`half`: every gate starts at sigmoid(0) = 0.5 (paper). `identity`: existing skips start above, new ones below,
    exactly at 1 and 0 where gates range around the base."""
    gate_start_logit: float = 1.0
    """Distance of an `identity` start from 0.5, in logits, where gates range from 0 to 1: they start at
    sigmoid(+-1) = 0.73 and 0.27."""
    norm_place: NormPlace = "output"
    """Where the block's one BatchNorm sits: on the block output, on the skip sum that enters the last sub-block, or
    nowhere."""
    norm_start: NormStart = "identity"
    """`fresh`: unit affine (paper). `identity`: statistics of the base features, affine set to undo the
    normalisation; needs `DeltaModel.calibrate`."""
    module_input: ModuleInput = "pool7"
    """How the Delta-module looks at it: as it is (paper), with stride 2 in its first convolution, or
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
            ("gate_range", GateRange),
            ("skip_map", SkipMap),
            ("skip_map_per", SkipMapPer),
            ("module_kernel", ModuleKernel),
            ("module_reads", ModuleReads),
        ):
            value = getattr(self, name)
            if isinstance(value, bool) or value not in get_args(choices):
                given = reprlib.repr(value)
                known = ", ".join(map(str, get_args(choices)))
                raise DeltaError(f"DeltaConfig.{name} is {given}; choose one of {known}.")
        for name, least in (("n_modules", 1), ("reduction", 1), ("skip_map_rank", 1), ("blocks_after", 0)):
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
        if (self.gate_range, self.gate_start) == ("around_base", "half"):
            raise DeltaError(
                "DeltaConfig.gate_start is 'half', which gates around the base have no place for; set gate_range to "
                "'unit' or leave gate_start at 'identity'."
            )
        logit = self.gate_start_logit
        if not isinstance(logit, int | float) or isinstance(logit, bool) or not -100 <= logit <= 100:
            raise DeltaError(
                f"DeltaConfig.gate_start_logit is {reprlib.repr(logit)}; give a number from -100 to 100, "
                "beyond which a sigmoid does not change."
            )

    @classmethod
    def paper(cls, *, n_modules: int = 4) -> Self:
        """The literal reading of the paper: gates alone, which start at 0.5, a fresh BatchNorm on the block output."""
        return cls.gates_alone(n_modules=n_modules, norm_start="fresh", module_input="full")

    @classmethod
    def gates_alone(cls, **options: Any) -> Self:
        """S_w = identity: scalar gates from 0 to 1 by a module of full width, as the paper draws them.

        With no options this was the default before there were maps on skips, and rows still call it `default`.
        """
        as_drawn: dict[str, Any] = {
            "skip_map": "identity",
            "gate_range": "unit",
            "gate_start": "half",
            "reduction": 2,
            "module_kernel": 3,
        }
        return cls(**as_drawn | options)

    def to_dict(self) -> dict[str, Any]:
        """Every option by name, as plain values that JSON can hold.

        >>> DeltaConfig.from_dict(DeltaConfig().to_dict()) == DeltaConfig()
        True
        """
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read `to_dict`. Options that are not known, from a newer version, are dropped with a warning.

        Options that came later than the file are what they were without them, see `WITHOUT`.

        Raises:
            DeltaError: if a value is outside the declared choices.
        """
        known = {option.name for option in fields(cls)}
        before = {option.name: option.metadata[WITHOUT] for option in fields(cls) if WITHOUT in option.metadata}
        if unknown := sorted(values.keys() - known):
            warnings.warn(f"DeltaConfig has no {reprlib.repr(unknown)}; this version ignores them.", stacklevel=2)
        return cls(**before | {name: value for name, value in values.items() if name in known})
