"""The mark on everything that is made of a rehearsal's rows: nobody takes it for results."""

from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd

from benchmarks.records.look_alikes import BANNER, is_rehearsal
from reports.pages.page import Page

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def banner(*rows: pd.DataFrame) -> str:
    """What to say first of a page made of these rows; empty if they are results."""
    return f"{BANNER} " if any(is_rehearsal(part) for part in rows) else ""


def marked_page(page: Page, *rows: pd.DataFrame) -> Page:
    """The page with the banner before its caption if the rows are of a rehearsal."""
    return replace(page, caption=banner(*rows) + page.caption)


def marked_frame(frame: pd.DataFrame, *rows: pd.DataFrame) -> pd.DataFrame:
    """The frame with a column that says so if the rows are of a rehearsal."""
    return frame.assign(rehearsal=BANNER) if banner(*rows) else frame


def stamp(figure: "Figure") -> None:
    """Write across a figure that it shows a rehearsal."""
    first, _, _ = BANNER.partition(":")
    text = figure.text(0.5, 0.5, first, fontsize=24, color="red", alpha=0.4, rotation=20, ha="center", va="center")
    text.set_in_layout(False)
