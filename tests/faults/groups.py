"""Groups of trials: one line each of the table."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.faults.verdict import Verdict
from tests.faults.world import World

Trial = Callable[[World, Random, Path], Verdict]
"""Draws its fault from a generator, works in an empty folder of its own, and judges."""


@dataclass(frozen=True, kw_only=True)
class Group:
    """Trials of one fault."""

    fault: str
    """As the table calls it."""
    trial: Trial
    whole: int
    """Trials of `nox -s faults`."""
    limit_s: float = 600.0
    """For one trial, with the undisturbed work that it may have to measure first."""
