"""The gate of one skip as a value, without torch."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class SkipGate:
    """The gate of one skip, for one test image or on average over the test images."""

    block: int
    """From 1, the first block of the net."""
    source: int
    """Node that the skip leaves; 0 is the block's input."""
    target: int
    existing: bool
    """Whether the net has this skip itself."""
    sample: int | None
    """Index of the test image; None is the mean over all of them."""
    label: int | None
    """Class of the image."""
    value: float
    """0 = closed, 1 = open."""
    sd: float | None
    """Sample standard deviation over the images; None for a single one."""
    n_examples: int
