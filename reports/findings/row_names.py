"""Rows of a table by the names that people see: `Delta (4) paper` on a page, `resnet18/delta4/paper` in its csv."""

import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

import pandas as pd

from delta_core.training.errors import UserError

SUGGESTED = 3


def find_row(frame: pd.DataFrame, labels: Sequence[str], asked: str) -> str:
    """The `row_id` of a row.

    Args:
        frame: tidy frame of a report.
        labels: what its page calls each of its lines.
        asked: a `row_id`, or a label, alone or with the net before it; case, hyphens and brackets do not matter.

    Raises:
        UserError: if no row, or rows of several nets, are called so.
    """
    if (frame["row_id"] == asked).any():
        return asked
    lines = pd.DataFrame({"row_id": frame["row_id"], "net": frame["architecture"], "label": labels}).drop_duplicates()
    alone, with_net = lines["label"].map(_plain), (lines["net"] + " " + lines["label"]).map(_plain)
    found = list(lines.loc[(alone == _plain(asked)) | (with_net == _plain(asked)), "row_id"].unique())
    if len(found) > 1:
        raise UserError(f"Several rows are called {asked!r}; choose one of {', '.join(found)}.")
    if not found:
        raise UserError(not_there("row", asked, [*lines["row_id"], *(lines["net"] + " " + lines["label"])]))
    return str(found[0])


def not_there(kind: str, asked: str, names: Iterable[str]) -> str:
    """The sentence on a name that is not there, with those that are like it."""
    by_plain = {_plain(name): name for name in names}
    nearest = get_close_matches(_plain(asked), by_plain, n=SUGGESTED, cutoff=0)
    return f"There is no {kind} {asked!r}; the nearest are {', '.join(by_plain[name] for name in nearest)}."


def _plain(name: str) -> str:
    """Letters and digits of a name, with one word for what the paper and the pages call differently.

    >>> _plain("Delta-Networks (4), paper's reading")
    'delta 4 paper'
    """
    name = name.casefold().replace("delta-networks", "delta").replace("paper's reading", "paper")
    return " ".join(re.findall(r"[a-z0-9.]+", name))
