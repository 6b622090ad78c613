"""Ours held against the paper's number, cell by cell."""

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from reports.pages.page import PageBlock, plain_block

MATCH_POINTS = 1.0
"""The paper prints one run without spread: ours matches within a point, or within two of our standard deviations."""

PRINTED = ["printed", "paper_value", "erratum"]
"""Columns of `paper.printed` that say what stands in a cell of the paper."""

NOT_APPLICABLE = "n/a"
"""Verdict on a printed number that these runs can never be held against, however many there will be."""


def with_verdicts(frame: pd.DataFrame) -> pd.DataFrame:
    """Add `difference` (ours minus the paper's, in points) and `verdict`.

    Args:
        frame: `mean`, `sd` and `PRINTED`, blank where not measured or not printed.
    """
    frame = frame.assign(difference=frame["mean"] - frame["paper_value"])
    numbers = (frame[name] for name in ("paper_value", "erratum", "mean", "sd", "difference"))
    return frame.assign(verdict=[verdict(*values) for values in zip(*numbers, strict=True)])


def beside_printed(found: pd.DataFrame, printed: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Our lines beside the paper's numbers, then a line (`n` = 0) for each of those that nobody measured.

    Args:
        found: `keys`, `mean`, `sd`, `n`.
        printed: `keys` and `PRINTED`; no lines where the paper's numbers are not to be compared with.
        keys: what ours and the printed number must agree in.

    Returns:
        Columns of `found`, `PRINTED`, `difference` and `verdict`.
    """
    numbers = printed[[*keys, *PRINTED]]
    marked = numbers.merge(found[keys].drop_duplicates(), how="left", on=keys, indicator=True)
    alone = marked[marked["_merge"] == "left_only"].drop(columns="_merge")
    frame = pd.concat([found.merge(numbers, how="left", on=keys), alone], ignore_index=True)
    frame = frame.astype({"mean": float, "sd": float, "paper_value": float})
    return with_verdicts(frame.assign(n=frame["n"].fillna(0).astype(int)))


def verdict(printed: float, erratum: object, mean: float, sd: float, difference: float) -> str:
    """`match` | `off by -1.20` | `untrusted` | `not run`; blank where the paper prints nothing to compare with.

    >>> verdict(80.0, "", 80.6, float("nan"), 0.6), verdict(80.0, "", 78.0, 0.4, -2.0)
    ('match', 'off by -2.00')
    >>> verdict(80.0, "", 78.0, 1.1, -2.0)
    'match'
    >>> verdict(80.0, "[E1]", 78.0, 0.1, -2.0)
    'untrusted'
    """
    if pd.isna(printed):
        return ""
    if erratum:
        return "untrusted"
    if pd.isna(mean):
        return "not run"
    close = max(MATCH_POINTS, 0.0 if pd.isna(sd) else 2 * sd)
    return "match" if abs(difference) <= close else f"off by {difference:+.2f}"


def not_applicable(frame: pd.DataFrame, where: "pd.Series[bool]") -> pd.DataFrame:
    """The frame with `NOT_APPLICABLE` and no difference in those of its lines for which the paper prints a number."""
    verdicts = frame["verdict"].mask(where & (frame["verdict"] != ""), NOT_APPLICABLE)
    return frame.assign(verdict=verdicts, difference=frame["difference"].mask(where))


def difference_blocks(parts: Iterable[tuple[str, pd.DataFrame]]) -> list[PageBlock]:
    """Verdicts in the places of the numbers; lines for which the paper prints nothing are left out.

    Args:
        parts: for each block what it is about, e.g. an architecture, and its numbers, one a line, in order: `line` and
            `column` (its place), `verdict`, `difference`, `erratum`.
    """
    return [_block(of, held) for of, lines in parts if len(held := lines[lines["verdict"] != ""])]


def _block(of: str, lines: pd.DataFrame) -> PageBlock:
    places = lines.assign(text=[_text(number) for number in lines.to_dict("records")]).groupby(["line", "column"])
    texts = places["text"].agg(" / ".join).unstack("column")
    texts = texts.reindex(index=lines["line"].unique(), columns=lines["column"].unique()).fillna("")
    cells = texts.rename_axis(columns=None).reset_index().rename(columns={"line": "method"})
    return plain_block(f"{of}: ours minus printed", cells, source="difference")


def _text(number: Mapping[Any, Any]) -> str:
    """The verdict, and behind `match` and `untrusted` the difference."""
    verdict: str = number["verdict"]
    exact = "" if verdict.startswith("off") or pd.isna(number["difference"]) else f" ({number['difference']:+.2f})"
    return f"{verdict}{exact}{number['erratum']}"
