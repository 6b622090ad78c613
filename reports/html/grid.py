"""PageBlock -> HTML table, by pandas Styler."""

from html import escape

import pandas as pd
from pandas.io.formats.style import Styler

from reports.pages.page import PageBlock
from reports.pages.render import NAME_COLUMNS


def html_table(block: PageBlock, *, name: str, places: pd.DataFrame | None = None) -> str:
    """A table with row headings; best cells have the class `best`, and those that open something `opens-<number>`.

    Args:
        block: what to show.
        name: unique in the page; ids of the table are made of it.
        places: as `block.cells`, the number of what a cell opens, or <NA>.
    """
    names = [column for column in block.cells.columns if column in NAME_COLUMNS] or [block.cells.columns[0]]
    headings = {row: " · ".join(map(str, key)) for row, key in enumerate(block.cells[names].to_numpy())}
    # Styler wants unique rows, and two lines of the paper may share their name: rows are numbers, named when shown.
    cells = block.cells.drop(columns=names).reset_index(drop=True).map(_unbroken)
    best = block.best.drop(columns=names).reset_index(drop=True)
    styler = Styler(cells, uuid=name, uuid_len=0, cell_ids=False, escape="html")
    classes = best.map(lambda is_best: "best" if is_best else "")
    if places is not None:
        opens = places.drop(columns=names).reset_index(drop=True)
        classes += opens.map(lambda number: "" if pd.isna(number) else f" opens-{number}")
    styler = styler.set_td_classes(classes)
    styler = styler.format_index(lambda row: escape(headings[int(str(row))]), axis="index")
    styler = styler.format_index(_breakable, axis="columns")
    return styler.set_table_attributes(f'class="sortable" aria-label="{escape(block.title)}"').to_html()


def _breakable(heading: object) -> str:
    """A heading as HTML; a long name may go on in the next line behind an underscore."""
    return escape(str(heading)).replace("_", "_<wbr>")


def _unbroken(cell: str) -> str:
    """The text with every spread kept on the line of its number."""
    return cell.replace(" ±", "\N{NO-BREAK SPACE}±")
