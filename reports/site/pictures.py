"""Figures as files of the site."""

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def svg(figure: "Figure") -> bytes:
    """The same bytes on every call."""
    from matplotlib import rc_context

    content = io.BytesIO()
    with rc_context({"svg.hashsalt": "delta-patching"}):
        figure.savefig(content, format="svg", metadata={"Date": None})
    return content.getvalue()
