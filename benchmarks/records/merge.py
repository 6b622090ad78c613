"""Rows from other machines: taken over where new, refused where they contradict what is known."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from benchmarks.records.collected import collect_locked, is_of_this_version, read_rows, replace_rows
from benchmarks.records.lock import locked_results
from benchmarks.records.record_files import read_records, record_paths
from benchmarks.records.rows import KEY, Scale, to_frame
from delta_core.training.errors import UserError


def merge(results: Path, scale: Scale, sources: Sequence[Path]) -> pd.DataFrame:
    """Gather the records below `results` and the rows of other results folders into the two tables of `results`.

    One table of schema version 1, there or in a source, is read like two. A run that several machines
    measured is kept as it is known first, if all its values agree.

    Args:
        results: results folder of one scale.
        scale: that scale.
        sources: results folders of the same scale, each with records/ or runs.csv.

    Raises:
        UserError: if a folder holds no rows or rows of another scale, or two of them measured one value differently;
            nothing is taken over then.
    """
    if not sources and not results.is_dir():
        return to_frame([])
    with locked_results(results):
        return _merge(results, scale, sources)


def _merge(results: Path, scale: Scale, sources: Sequence[Path]) -> pd.DataFrame:
    known = {str(results): collect_locked(results)}
    if not sources and is_of_this_version(results):
        return known[str(results)]
    for source in sources:
        rows = _rows_below(source, scale)
        for name, others in known.items():
            _check_agreement(others, name, rows, str(source))
        known[str(source)] = rows[~rows["run_id"].isin([run for part in known.values() for run in part["run_id"]])]
    frame = pd.concat([part for part in known.values() if len(part)] or [known[str(results)]], ignore_index=True)
    return replace_rows(results, frame) if len(frame) else frame


def _rows_below(source: Path, scale: Scale) -> pd.DataFrame:
    if source.exists() and not source.is_dir():
        raise UserError(f"{str(source)!r} is a file; give a results folder of one scale.")
    records = read_records(record_paths(source))
    table = read_rows(source)
    rows = pd.concat(
        [part for part in (records, table[~table["run_id"].isin(records["run_id"])]) if len(part)] or [table]
    )
    if rows.empty:
        raise UserError(f"{str(source)!r} holds neither runs.csv nor records/; give a results folder of one scale.")
    foreign = rows[rows["scale"] != scale]
    if len(foreign):
        raise UserError(
            f"{str(source)!r} holds rows of scale {foreign['scale'].iloc[0]!r}, and {scale!r} was asked for; "
            "give the folder of that scale."
        )
    return rows


def _check_agreement(ours: pd.DataFrame, name: str, theirs: pd.DataFrame, source: str) -> None:
    both = ours.merge(theirs, on=list(KEY), suffixes=("", "_there"))
    differing = both[both["value"] != both["value_there"]]
    if len(differing):
        first = differing.iloc[0]
        raise UserError(
            f"Run {first['run_id']} ({first['method']} on {first['task']}, {first['column']} {first['split']}) "
            f"measured {first['value']:g} in {name} and {first['value_there']:g} in {source}; "
            "delete the one you do not trust."
        )
