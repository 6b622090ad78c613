"""Lines of a frame as tuples with named fields."""

from collections.abc import Iterator
from typing import Any

import pandas as pd


def records(frame: pd.DataFrame) -> Iterator[Any]:
    """Lines of a frame, columns as attributes. What a column holds is the frame's to know, so the type is `Any`."""
    return frame.itertuples()
