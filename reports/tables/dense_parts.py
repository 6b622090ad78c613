"""What a patch adds in Table 7, by class and by size of the objects."""

from collections.abc import Iterator

import pandas as pd

from reports.pages.page import PageBlock, plain_block, with_spread
from reports.tables.dense import is_part, labels

COUNTED = {"AP": "objects", "IoU": "pixels"}
"""Metric of a part -> what its runs counted of it in the test images."""


def parts_blocks(rows: pd.DataFrame, frame: pd.DataFrame) -> Iterator[PageBlock]:
    """A block for each task and net: what the frozen net scores on every part, and what each arm adds, seed by seed.

    Args:
        rows: of the suite; runs from before parts were scored have none, and give no block.
        frame: of the report, whose arms stand in their order.
    """
    order = list(dict.fromkeys(labels(frame)))
    parts = rows[is_part(rows)]
    named = parts.assign(arm=labels(parts), part=parts["column"].str.split("/", n=1).str[1].str.replace("/", " "))
    for (task, architecture), of_net in named.groupby(["task", "architecture"], sort=False):
        (metric,) = of_net["metric"].unique()
        arms = [arm for arm in order if arm in set(of_net["arm"])]
        values = of_net.pivot_table(index=["part", "seed"], columns="arm", values="value", sort=False)
        baseline = of_net.loc[of_net["variant"] == "", "arm"].iloc[:1]
        lines = []
        for part, of_part in of_net.groupby("part", sort=False):
            by_seed = values.loc[part]
            against = by_seed[baseline.iloc[0]] if len(baseline) else pd.Series(float("nan"), index=by_seed.index)
            line = {"part": str(part), COUNTED[metric]: f"{of_part['n_examples'].iloc[0]:,}"}
            for arm in arms:
                is_gain = arm not in set(baseline)
                shown = by_seed[arm] - against if is_gain else by_seed[arm]
                line[f"gain of {arm}" if is_gain else arm] = with_spread(
                    shown.mean(), shown.std(), sign="+" if is_gain else ""
                )
            lines.append(line)
        yield plain_block(
            f"{task} on {architecture}: {metric} by class and size, gains paired by seed", pd.DataFrame(lines)
        )
