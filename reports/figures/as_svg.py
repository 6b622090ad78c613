"""A figure as SVG."""

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def svg_of(figure: "Figure", *, words_as_text: bool = False) -> str:
    """The same text on every call; ids in it are made unique by the figure's content.

    Args:
        figure: what to show.
        words_as_text: leave words to the reader's fonts, as a page does; else they are outlines and look the same
            everywhere.
    """
    from matplotlib import rc_context

    text = io.StringIO()
    with rc_context({"svg.hashsalt": "delta-patching", "svg.fonttype": "none" if words_as_text else "path"}):
        figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()
