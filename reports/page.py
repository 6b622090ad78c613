"""What a reader of one report sees, before any format: grids of text, footnotes and commands."""

from dataclasses import dataclass
from typing import Literal

import pandas as pd

from benchmarks.record import Scale

Source = Literal["ours", "paper", "difference"]
"""Where the numbers of a block come from; `difference` is ours minus the paper's, in points."""


@dataclass(frozen=True, kw_only=True)
class Block:
    """A grid of plain text, not yet escaped for any format."""

    title: str
    cells: pd.DataFrame
    best: pd.DataFrame
    """Same shape, True where the text is to be set bold."""
    source: Source = "ours"


@dataclass(frozen=True, kw_only=True)
class Page:
    """Everything a reader of one table sees, in any format."""

    name: str
    title: str
    caption: str
    blocks: tuple[Block, ...]
    notes: tuple[str, ...]
    commands: tuple[str, ...]


def mean_over(n: int) -> str:
    """What a caption says of the numbers in cells of n seeds.

    >>> mean_over(1)
    'n = 1 seed, no spread'
    """
    if n > 1:
        return f"mean ± sample standard deviation (ddof=1) over n = {n} seeds"
    return f"n = {n} seed, no spread" if n else "not run"


def with_spread(mean: float, sd: float, *, sign: str = "") -> str:
    """A number over seeds as it stands in a cell: no spread for one seed, blank where not measured.

    >>> with_spread(81.234, 0.45), with_spread(1.5, float("nan"), sign="+"), with_spread(float("nan"), float("nan"))
    ('81.23 ±0.45', '+1.50', '')
    """
    if pd.isna(mean):
        return ""
    return f"{mean:{sign}.2f}" + ("" if pd.isna(sd) else f" ±{sd:.2f}")


def plain_block(title: str, cells: pd.DataFrame, source: Source = "ours") -> Block:
    """A block in which nothing is bold."""
    return Block(
        title=title,
        cells=cells,
        best=pd.DataFrame(False, index=cells.index, columns=cells.columns),
        source=source,
    )


def printed_block(cells: pd.DataFrame, scale: Scale, *, of: str = "") -> Block:
    """The paper's own table, or the part of it that `of` names."""
    title = f"Printed in the paper{of and f': {of}'}"
    beside = "" if scale == "paper" else " (other data, other scale: not comparable cell by cell)"
    return plain_block(title + beside, cells, source="paper")
