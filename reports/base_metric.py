"""What a number on the base says: accuracy where its images have labels, else agreement with the untouched net.

The two are never averaged, compared or put under one name.
"""

from dataclasses import dataclass

import pandas as pd

from benchmarks.records.names import BASE_AGREEMENT, TOP1
from delta_core.training.errors import UserError


@dataclass(frozen=True, kw_only=True)
class BaseMetric:
    """How reports call one of them, and what is made of it."""

    metric: str
    """In rows (`Row.metric`)."""
    words: str
    """In titles and headings."""
    quantity: str
    """In tidy frames."""
    harmonic_mean: str
    """The harmonic mean of it and top-1 on the patch task, in tidy frames."""
    note: str = ""
    """Footnote where it is shown."""


ACCURACY = BaseMetric(metric=TOP1, words="base top-1", quantity="base_top1", harmonic_mean="harmonic_mean")
AGREEMENT = BaseMetric(
    metric=BASE_AGREEMENT,
    words="base agreement",
    quantity="base_agreement",
    harmonic_mean="harmonic_mean_agreement",
    note="base agreement: share of unlabelled photographs on which the base head still gives the top-1 of the "
    "untouched net. It is no accuracy, and means with it are not to be compared with means of accuracies.",
)
BASES = {each.metric: each for each in (ACCURACY, AGREEMENT)}


def base_metric_of(rows: pd.DataFrame) -> BaseMetric:
    """What the rows of a report measured on the base; accuracy if they measured nothing there.

    Raises:
        UserError: if some measured accuracy, and others agreement.
    """
    found = rows.loc[(rows["phase"] == "before") & rows["metric"].isin([TOP1, BASE_AGREEMENT])]
    if found["metric"].nunique() > 1:
        run = {metric: part["run_id"].iloc[0] for metric, part in found.groupby("metric")}
        raise UserError(
            f"The rows mix accuracy on a labelled base (run {run[TOP1]}) and agreement on unlabelled images (run "
            f"{run[BASE_AGREEMENT]}), which no table compares; keep runs with --base and with --base-images apart by "
            "--results."
        )
    return AGREEMENT if (found["metric"] == BASE_AGREEMENT).any() else ACCURACY


def base_named(frame: pd.DataFrame) -> BaseMetric:
    """What the column `base_metric` of a tidy frame says; accuracy if it has no lines."""
    return BASES[frame["base_metric"].iloc[0]] if len(frame) else ACCURACY
