"""What a reader of one report sees, before any format: grids of text, footnotes and commands."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from benchmarks.records.rows import Scale

Source = Literal["ours", "paper", "difference"]
"""Where the numbers of a block come from; `difference` is ours minus the paper's, in points."""


@dataclass(frozen=True, kw_only=True)
class PageBlock:
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
    blocks: tuple[PageBlock, ...]
    notes: tuple[str, ...]
    commands: tuple[str, ...]


def usual_n(counts: "pd.Series[int]") -> int:
    """Seeds of a cell that says nothing else: what most measured cells have, of a tie the more; 0 if none has any."""
    common = counts[counts > 0].mode()
    return int(common.max()) if len(common) else 0


def over_seeds(counts: "pd.Series[int]") -> str:
    """What a caption says of numbers over these counts of seeds, one count a cell.

    >>> over_seeds(pd.Series([1, 1, 0])), over_seeds(pd.Series([0]))
    ('n = 1 seed, no spread', 'not run')
    >>> over_seeds(pd.Series([3, 3, 2]))
    'mean ± sample standard deviation (ddof=1) over n = 3 seeds, unless a cell says [n=...]'
    """
    n = usual_n(counts)
    if not n:
        return "not run"
    seeds = f"mean ± sample standard deviation (ddof=1) over n = {n} seeds" if n > 1 else "n = 1 seed, no spread"
    return seeds + (", unless a cell says [n=...]" if (counts[counts > 0] != n).any() else "")


def with_spread(mean: float, sd: float, *, sign: str = "") -> str:
    """A number over seeds as it stands in a cell: no spread for one seed, blank where not measured.

    >>> with_spread(81.234, 0.45), with_spread(1.5, float("nan"), sign="+"), with_spread(float("nan"), float("nan"))
    ('81.23 ±0.45', '+1.50', '')
    """
    if pd.isna(mean):
        return ""
    return f"{mean:{sign}.2f}" + ("" if pd.isna(sd) else f" ±{sd:.2f}")


def cell_text(ours: str, n: float, usual: int, printed: str | float = "") -> str:
    """A measured number, marked if it has not the usual number of seeds, and the printed one (text or NaN) beside it.

    >>> cell_text("81.23", 2, usual=3, printed="81.5"), cell_text("81.23", 3, usual=3), cell_text("", 0, 3, "81.5")
    ('81.23 [n=2] (81.5)', '81.23', '(81.5)')
    """
    marked = ours + (f" [n={n:.0f}]" if ours and n != usual else "")
    return f"{marked} ({printed})".lstrip() if isinstance(printed, str) and printed else marked


def plain_block(title: str, cells: pd.DataFrame, source: Source = "ours") -> PageBlock:
    """A block in which nothing is bold."""
    return PageBlock(
        title=title,
        cells=cells,
        best=pd.DataFrame(False, index=cells.index, columns=cells.columns),
        source=source,
    )


def printed_block(cells: pd.DataFrame, scale: Scale, *, of: str = "") -> PageBlock:
    """The paper's own table, or the part of it that `of` names."""
    title = f"Printed in the paper{of and f': {of}'}"
    beside = "" if scale == "paper" else " (other data, other scale: not comparable cell by cell)"
    return plain_block(title + beside, cells, source="paper")


def records(frame: pd.DataFrame) -> Iterator[Any]:
    """Lines of a frame, columns as attributes. What a column holds is the frame's to know, so the type is `Any`."""
    return frame.itertuples()
