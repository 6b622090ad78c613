"""Every kind of patch, for properties that hold for all."""

from typing import get_args

from hypothesis import strategies as st

from delta_core import DeltaConfig
from delta_core import config as options


def _fits(drawn: dict[str, object]) -> bool:
    """Whether the options go together."""
    around_half = (drawn["gate_range"], drawn["gate_start"]) == ("around_base", "half")
    more_than_existing = drawn["gating"] == "existing-only" and (drawn["skips"], drawn["gate_per"]) != ("all", "skip")
    return not around_half and not more_than_existing


CONFIGS = (
    st.fixed_dictionaries(
        {
            "n_modules": st.integers(1, 4),
            "gating": st.sampled_from(get_args(options.Gating)),
            "skips": st.sampled_from(get_args(options.Skips)),
            "gate_per": st.sampled_from(get_args(options.GatePer)),
            "gate_range": st.sampled_from(get_args(options.GateRange)),
            "gate_start": st.sampled_from(get_args(options.GateStart)),
            "gate_start_logit": st.floats(-5, 5),
            "skip_map": st.sampled_from(get_args(options.SkipMap)),
            "skip_map_rank": st.integers(1, 9),
            "skip_map_per": st.sampled_from(get_args(options.SkipMapPer)),
            "reduction": st.sampled_from([1, 2, 5]),
            "module_kernel": st.sampled_from(get_args(options.ModuleKernel)),
            "norm_place": st.sampled_from(get_args(options.NormPlace)),
            "norm_start": st.sampled_from(get_args(options.NormStart)),
            "module_input": st.sampled_from(get_args(options.ModuleInput)),
        }
    )
    .filter(_fits)
    .map(lambda drawn: DeltaConfig(**drawn))
)
