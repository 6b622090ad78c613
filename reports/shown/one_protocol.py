"""Which rows a report shows where several protocols were measured: those of one, and a footnote on the others.

Before that, those of one base (`one_base`).
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from benchmarks.records.protocols import flags_of, is_usual, settings_of
from delta_core.training.errors import UserError
from reports.shown.one_base import of_one_base

Per = Literal["report", "net", "row"]
"""What has one protocol: a report, each net of it, or each line, where the protocol says which line it is."""


@dataclass(frozen=True, kw_only=True)
class Shown:
    """Rows of one setting (`benchmarks.records.protocols`), and what is on record beside them."""

    rows: pd.DataFrame
    notes: tuple[str, ...] = ()
    """Footnotes, if there are runs of other protocols or other bases."""
    flags: tuple[str, ...] = ()
    """Options that a command needs to measure more of these rows."""
    left_out: Collection[str] = ()
    """Ids of the runs that are not shown."""


def of_one_protocol(rows: pd.DataFrame, wanted: str | None = None, per: Per = "report") -> Shown:
    """The rows of the protocol that is wanted, if there are any; else of the scale's own; else of that with most runs.

    Scale local has none of its own, for its users choose. Of several with as many runs it is the newest.

    Args:
        rows: of one scale.
        wanted: a setting, or the whole protocol of some rows: then those alone, say of one of Table 5's rates.
        per: what has one protocol.
    """
    every = set(rows["run_id"])
    rows, notes = of_one_base(rows)
    runs = rows.drop_duplicates("run_id")
    if runs.empty or (per == "row" and wanted is None):
        return Shown(rows=rows, notes=notes, left_out=every - set(runs["run_id"]))
    settings = settings_of(runs)
    asked = (settings == wanted) if (settings == wanted).any() else (runs["protocol"] == wanted)
    candidates = runs[asked] if asked.any() else runs
    nets = [part for _, part in candidates.groupby("architecture")] if per == "net" else [candidates]
    kept = pd.concat([part[settings[part.index].isin(_chosen(part, settings[part.index]))] for part in nets])
    others = settings.drop(kept.index)
    first = kept.iloc[0]
    return Shown(
        rows=rows[rows["run_id"].isin(kept["run_id"])],
        notes=(*notes, *_notes(others)),
        flags=flags_of(settings[kept.index[0]], first["suite"], first["scale"]) or (),
        left_out=every - set(kept["run_id"]),
    )


def check_protocol(rows: pd.DataFrame, wanted: str | None, of: str = "") -> None:
    """Refuse a protocol that no row has.

    Args:
        rows: where it was looked for.
        wanted: what `--protocol` says.
        of: whose rows they are, ` of table2`, or nothing.

    Raises:
        UserError: naming those that there are.
    """
    settings = list(dict.fromkeys(settings_of(rows)))
    if wanted is not None and wanted not in settings and wanted not in set(rows["protocol"]):
        known = f"there are {', '.join(map(repr, settings))}" if settings else "there are none"
        raise UserError(f"No rows{of} match --protocol {wanted}; {known}.")


def _chosen(runs: pd.DataFrame, settings: "pd.Series[str]") -> set[str]:
    """Settings that are shown unasked: one, but for suites that say it in words of their own."""
    facts = zip(settings, runs["suite"], runs["scale"], strict=True)
    usual = {setting for setting, suite, scale in facts if scale != "local" and is_usual(setting, suite, scale)}
    if usual:
        return usual
    sizes = runs.groupby(settings)["measured_at"].agg(["count", "max"])
    return {str(sizes.sort_values(["count", "max"]).index[-1])}


def _notes(others: "pd.Series[str]") -> tuple[str, ...]:
    """The footnote on runs that are not shown."""
    if others.empty:
        return ()
    counts = others.value_counts().sort_index()
    told = (f"{setting} ({count} runs: --protocol {setting})" for setting, count in counts.items())
    return (f"On record in other protocols, and not shown: {'; '.join(told)}.",)
