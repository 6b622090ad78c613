"""Errors of delta_core."""


class DeltaError(ValueError):
    """Bad input to delta_core, told in one sentence: the value, what was expected, the fix."""


class FrozenError(RuntimeError):
    """The freezing contract of a backbone is broken; the message names the first offender."""
