"""`python -m benchmarks forget`: take runs off the record, after saying which and asking."""

import sys
from pathlib import Path

import pandas as pd
import tyro

from benchmarks.records.collected import rows_so_far
from benchmarks.records.forget import forget
from benchmarks.records.protocols import settings_of
from benchmarks.records.rows import Scale
from benchmarks.tables import table_of
from benchmarks.worlds.options import Names, Options
from delta_core.training.errors import UserError

COMMITTED = Path(__file__).parents[1] / "results"
"""Results that come with the project."""


def forget_runs(
    table: tyro.conf.Positional[str | None] = None,
    *,
    scale: Scale,
    method: Names = (),
    arch: Names = (),
    task: Names = (),
    protocol: Names = (),
    run_id: Names = (),
    results: Path = Path("results"),
    yes: bool = False,
) -> int:
    """Take runs off the record: their records, rows and gates. Says which, and asks before.

    Args:
        table: runs that feed this table; those that it shares with others go from all of them.
        scale: whose runs.
        method: of this method, e.g. fc_only, or of one arm, e.g. delta_networks:paper; may be repeated.
        arch: of this architecture; may be repeated.
        task: of this task; may be repeated.
        protocol: of this protocol, as reports name it; may be repeated.
        run_id: this run; may be repeated.
        results: folder that holds <scale>/runs.csv.
        yes: do not ask.
    """
    if table is None and not any((method, arch, task, protocol, run_id)):
        raise UserError("Say which runs to forget: a table, --method, --arch, --task, --protocol or --run-id.")
    runs = rows_so_far(results / scale).drop_duplicates("run_id")
    chosen = runs if table is None else runs[runs["suite"].isin(_suites_of(table))]
    arms = chosen["method"] + ":" + chosen["variant"]
    given = (
        ("--method", method, (chosen["method"], arms)),
        ("--arch", arch, (chosen["architecture"],)),
        ("--task", task, (chosen["task"],)),
        ("--protocol", protocol, (settings_of(chosen), chosen["protocol"])),
        ("--run-id", run_id, (chosen["run_id"],)),
    )
    for flag, names, columns in given:
        for name in names:
            if not any((column == name).any() for column in columns):
                known = ", ".join(list(dict.fromkeys(columns[0]))[:20]) or "none"
                raise UserError(f"No run on record matches {flag} {name}; there are {known}.")
        if names:
            fits = pd.concat([column.isin(names) for column in columns], axis="columns").any(axis="columns")
            chosen = chosen[fits.reindex(chosen.index)]
    if chosen.empty:
        raise UserError(f"No run on record below {results / scale} is all of this; nothing is forgotten.")
    shown = ["run_id", "architecture", "task", "method", "variant", "seed", "protocol"]
    print(chosen[shown].to_string(index=False, header=False))
    if not yes and not _agreed(len(chosen), results / scale):
        print("Nothing is forgotten.")
        return 1
    forget(results / scale, list(chosen["run_id"]))
    print(f"{len(chosen)} runs forgotten.")
    return 0


def _suites_of(table: str) -> set[str]:
    """What rows of a table's runs have for `suite`: the same at every scale, so scale embedded is asked."""
    found = table_of(table)
    options = Options(table=table, dry_run=True)
    return {run.suite for run in found.runs(found.open_world(options, found.tasks), 1)} or {table}


def _agreed(count: int, results: Path) -> bool:
    """Ask on the terminal.

    Raises:
        UserError: if there is nobody to ask.
    """
    if not sys.stdin.isatty():
        raise UserError(f"Forgetting {count} runs is asked before, and this is no terminal; add --yes to agree.")
    whose = "of the results committed with the project, " if COMMITTED in results.resolve().parents else ""
    return input(f"Forget these {count} runs, {whose}in {results}? [y/N] ").strip().lower() in ("y", "yes")
