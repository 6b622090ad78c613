"""Which rows a report shows where a net that the suite pre-trained came out in several ways: those of one base."""

import pandas as pd

PRETRAINED = "pretrain:"
"""How the weights of a net begin that the suite pre-trained itself; all others are files, the same everywhere."""


def of_one_base(rows: pd.DataFrame) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The rows of the base that was measured with last, for each net, and a footnote on others.

    The same pre-training ends with other weights on a CPU that takes sums in another order, and methods on two bases
    cannot be compared.
    """
    of_ours = rows[rows["weights"].str.startswith(PRETRAINED)]
    newest = of_ours.sort_values("measured_at").drop_duplicates("weights", keep="last")
    shown = of_ours["weights"].map(newest.set_index("weights")["backbone_sha_before"])
    others = of_ours[of_ours["backbone_sha_before"] != shown]
    if others.empty:
        return rows, ()
    nets = ", ".join(sorted(others["architecture"].unique()))
    return rows.drop(others.index), (
        f"Not shown are {others['run_id'].nunique()} runs from another base of the same name ({nets}): pre-trained on "
        "another kind of CPU, it has other weights.",
    )
