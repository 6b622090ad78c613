"""Errors of delta_core."""


class DeltaError(ValueError):
    """Bad input to delta_core, told in one sentence: the value, what was expected, the fix.

    Example:
        >>> from delta_core import DeltaConfig
        >>> try:
        ...     DeltaConfig(n_modules=0)
        ... except DeltaError as error:
        ...     print(error)
        DeltaConfig.n_modules is 0; give a whole number of at least 1.
    """


class FrozenError(RuntimeError):
    """The freezing contract of a backbone is broken; the message names the first offender.

    Example:
        >>> from torch import nn
        >>> from delta_core import assert_frozen
        >>> try:
        ...     assert_frozen(nn.Linear(1, 1), fingerprint="")
        ... except FrozenError as error:
        ...     print(error)
        Backbone parameter weight takes gradients; call freeze(backbone) before training.
    """
