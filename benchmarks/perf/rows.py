"""One cost of ours beside the same cost of a reference."""

import csv
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from statistics import median, quantiles

import torch

from delta_core.training.provenance import provenance
from delta_core.training.whole_files import whole_text


@dataclass(frozen=True, kw_only=True)
class PerfRow:
    """A cost of ours and of a reference from one run, with what is needed to trust it."""

    name: str
    """`<what> / <reference>`, unique in a measurement."""
    unit: str
    ours: float
    """Median over repetitions."""
    reference: float
    """Median over repetitions."""
    ratio: float
    """Median over repetitions of ours / reference; both sides of a ratio ran one after the other."""
    flop_ratio: float | None
    """The same ratio in floating-point operations: what arithmetic alone would give. Blank where it says nothing."""
    n: int
    """Number of repetitions."""
    spread: float
    """Interquartile range of the ratios; 0 for a single one."""
    setting: str
    """What was measured, as JSON."""
    threads: int
    device: str
    versions: str
    git_sha: str
    git_dirty: bool
    measured_at: str


def perf_row(
    name: str,
    unit: str,
    ours: Sequence[float],
    reference: Sequence[float],
    setting: dict[str, object],
    *,
    flop_ratio: float | None = None,
    device: str = "cpu",
) -> PerfRow:
    """A row of paired values: `ours[i]` and `reference[i]` were measured one after the other.

    >>> row = perf_row("copy / clone", "s", [1.0, 2.0, 2.0], [2.0, 4.0, 5.0], {})
    >>> (row.ours, row.reference, row.ratio, row.n, round(row.spread, 3))
    (2.0, 4.0, 0.5, 3, 0.05)
    """
    ratios = [one / other for one, other in zip(ours, reference, strict=True)]
    quarters = quantiles(ratios, n=4, method="inclusive") if len(ratios) > 1 else [0.0] * 3
    origin = provenance(torch.device(device), "32-true")
    return PerfRow(
        name=name,
        unit=unit,
        ours=median(ours),
        reference=median(reference),
        ratio=median(ratios),
        flop_ratio=flop_ratio,
        n=len(ratios),
        spread=quarters[2] - quarters[0],
        setting=json.dumps(setting, sort_keys=True),
        threads=torch.get_num_threads(),
        **{key: origin[key] for key in ("device", "versions", "git_sha", "git_dirty", "measured_at")},
    )


def write_perf_rows(path: Path, rows: Iterable[PerfRow]) -> None:
    """Write the rows of one measurement as CSV; an earlier file is replaced."""
    with whole_text(path) as stream:
        writer = csv.DictWriter(stream, [field.name for field in fields(PerfRow)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)
