"""Readings of Delta-Networks by their name in rows: what this library has, what it had before, what the paper says."""

from collections.abc import Callable

from benchmarks.records.names import GATES_ALONE, LITERAL, MAPS
from delta_core import DeltaConfig

READINGS: dict[str, Callable[..., DeltaConfig]] = {
    MAPS: DeltaConfig,
    GATES_ALONE: DeltaConfig.gates_alone,
    LITERAL: DeltaConfig.paper,
}
"""Name -> its config, given `n_modules`."""
