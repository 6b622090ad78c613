"""What the paper says it sees in Figure 3, checked on measured gates."""

from dataclasses import dataclass

import pandas as pd

NEAR = 0.1
"""A gate counts as near zero, or near one, within this distance."""


@dataclass(frozen=True, kw_only=True)
class GateClaim:
    """A sentence of the paper and what was measured."""

    name: str
    says: str
    holds: bool
    measured: str

    def __str__(self) -> str:
        """The claim as one sentence, with what was found."""
        return f"{'holds' if self.holds else 'DOES NOT HOLD'}: {self.name}, {self.says}; {self.measured}"


def gate_claims(means: pd.DataFrame, architecture: str) -> list[GateClaim]:
    """Claims of Figure 3 and Section 9.1 on mean gates (`reports.figures.gates.mean_gates`) of one net, per task.

    `some-gates-near-zero` holds if a mean gate is at most 0.1 although nothing asks for sparsity; `last-block-near-one`
    if the mean of the last block's gates is at least 0.9.
    """
    found = []
    for task, part in means.groupby("task", sort=False):
        low = int((part["value"] <= NEAR).sum())
        last = part[part["block"] == part["block"].max()]["value"]
        where = f"{architecture}, {task}"
        found += [
            GateClaim(
                name="some-gates-near-zero",
                says="without a sparsity penalty some skips are switched off (Figure 3)",
                holds=low > 0,
                measured=f"{where}: {low} of {len(part)} mean gates are at most {NEAR}, the lowest is "
                f"{part['value'].min():.2f}",
            ),
            GateClaim(
                name="last-block-near-one",
                says="the gates of the last block are near 1 (Section 9.1)",
                holds=bool(last.mean() >= 1 - NEAR),
                measured=f"{where}: mean {last.mean():.2f}, from {last.min():.2f} to {last.max():.2f}",
            ),
        ]
    return found
