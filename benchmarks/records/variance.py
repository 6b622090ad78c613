"""Tidy CSVs of the variance analysis. This module does not import torch, so that reports can read them without it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Literal

import pandas as pd

from delta_core.training.whole_files import whole_text

Setting = Literal["derivation", "kaiming", "pretrained"]
"""The derivation's own model; ResNet-18 at Kaiming initialisation; the pre-trained slim ResNet-18."""

Arm = Literal["one skip", "all skips", "all skips + BN", "Delta"]
ARMS: tuple[Arm, ...] = ("one skip", "all skips", "all skips + BN", "Delta")


@dataclass(frozen=True, kw_only=True)
class VarianceRow:
    """Variance of the features behind one sub-block."""

    setting: Setting
    arm: Arm
    depth: int
    """Sub-blocks passed; 0 is what enters the first block."""
    variance: float
    """Mean square of the features over that at depth 0, geometric mean over draws."""
    log10_sd: float | None
    """Sample standard deviation of its decimal logarithm over draws."""
    n_draws: int
    derived: float
    """What the derivation says (without the ReLU behind the sum that a ResNet has)."""


@dataclass(frozen=True, kw_only=True)
class CorrelationRow:
    """Correlation of a coordinate of x with the same coordinate of Wx."""

    d: int
    rms: float
    standard_error: float
    n_coordinates: int
    derived: float


def variance_path(results: Path) -> Path:
    """File of variances below the results folder of a scale."""
    return results / "variance.csv"


def correlation_path(results: Path) -> Path:
    """File of correlations below the results folder of a scale."""
    return results / "correlation.csv"


def write_variance_rows(path: Path, rows: Sequence[VarianceRow] | Sequence[CorrelationRow]) -> None:
    """Write rows at once."""
    frame = pd.DataFrame([asdict(row) for row in rows], columns=[field.name for field in fields(rows[0])])
    with whole_text(path) as stream:
        frame.to_csv(stream, index=False, lineterminator="\n", float_format="%.6g")


def read_variances(results: Path) -> tuple[pd.DataFrame, pd.DataFrame] | None:
    """Variances and correlations of a scale, or None if they were not measured."""
    if not (variance_path(results).exists() and correlation_path(results).exists()):
        return None
    return pd.read_csv(variance_path(results)), pd.read_csv(correlation_path(results))
