"""What a patch adds in Table 7, by class and by size of the objects."""

from collections.abc import Iterator

import pandas as pd

from reports.pages.page import PageBlock, cell_text, plain_block, with_spread
from reports.tables.dense import is_part, labels

COUNTED = {"AP": "objects", "IoU": "pixels"}
"""Metric of a part -> what its runs counted of it in the test images."""


def parts_blocks(rows: pd.DataFrame, frame: pd.DataFrame) -> Iterator[PageBlock]:
    """A block for each task and net: what the frozen net scores on every part, and what each arm adds, seed by seed.

    Args:
        rows: of the suite. Where those of the frozen net are from before parts were scored there is no block.
        frame: of the report, whose arms stand in their order.
    """
    parts = rows[is_part(rows)]
    named = parts.assign(arm=labels(parts), part=parts["column"].str.split("/", n=1).str[1].str.replace("/", " "))
    for (task, architecture), of_net in named.groupby(["task", "architecture"], sort=False):
        frozen = of_net.loc[of_net["variant"] == "", "arm"].unique()
        if not len(frozen):
            continue
        (metric,) = of_net["metric"].unique()
        counts = of_net.groupby("part", sort=False)["n_examples"].first()
        values = of_net.pivot_table(index=["part", "seed"], columns="arm", values="value", sort=False)
        gains = values.sub(values[frozen[0]], axis="index")
        added = [arm for arm in dict.fromkeys(labels(frame)) if arm in gains and arm not in frozen]
        cells = {
            "part": counts.index,
            COUNTED[metric]: counts.map("{:,}".format),
            frozen[0]: _over_seeds(values[frozen[0]]),
            **{f"gain of {arm}": _over_seeds(gains[arm], sign="+") for arm in added},
        }
        title = f"{task} on {architecture}: {metric} by class and size, gains paired by seed"
        yield plain_block(title, pd.DataFrame(cells).reset_index(drop=True))


def _over_seeds(values: "pd.Series[float]", *, sign: str = "") -> "pd.Series[str]":
    """Cells by part; one of fewer seeds than there are says so."""
    usual = values.index.get_level_values("seed").nunique()
    by_part = values.groupby(level="part", sort=False)
    return by_part.agg(lambda part: cell_text(with_spread(part.mean(), part.std(), sign=sign), part.count(), usual))
