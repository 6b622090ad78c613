"""Are rows on record what this checkout measures? A sample of runs, repeated and compared bit for bit.

CPUs with other vector instructions take sums in another order, and a training that starts with other bits ends with
other values. So rows are compared with those of the same kind of CPU: results/<scale> holds those that tables are made
of, and results/<scale>/<instruction set> a sample of the same runs on CPUs of another kind.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import pandas as pd

from benchmarks.grid.plan import plan
from benchmarks.grid.pool import run_all
from benchmarks.grid.work import Result
from benchmarks.records.collected import read_rows, runs_path, write_rows
from benchmarks.records.names import BASE, DENSE
from benchmarks.records.record_files import read_records, record_paths
from benchmarks.records.rows import KEY
from benchmarks.spec import Run
from benchmarks.tables import TABLES, runs_of, tables_at
from benchmarks.worlds.options import Options
from benchmarks.worlds.world import World
from delta_core.training.errors import UserError
from delta_core.training.provenance import instruction_set

SelfContained = Literal["real", "embedded"]
"""Scales whose weights and data everybody has."""
COMPARED = ("value", "n_examples", "backbone_sha_before", "backbone_sha_after", "data_sha")


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Which of the runs on record are repeated, and where."""

    results: Path
    """Holds <scale>/runs.csv."""
    cache: Path
    """Drawn data and pre-trained bases."""
    scratch: Path
    """Where the repeated runs go; must hold none of them."""
    scale: SelfContained
    size: int
    """How many runs; all of one architecture, so that one base is enough."""
    salt: str
    """Draws the sample; another salt, another sample."""
    report: Callable[[Result], None]
    """Called for each run as it ends."""

    @property
    def record(self) -> Path:
        """Folder of the rows that tables are made of."""
        return self.results / self.scale


def reproduce(sample: Sample) -> pd.DataFrame:
    """Repeat a sample of the runs that this kind of CPU has on record; returns the values that came out differently.

    Raises:
        UserError: if nothing is on record, runs on record are described otherwise by this checkout, or a run failed.
    """
    recorded = _of_this_cpu(sample.record)
    again = _repeat(recorded, sample)
    both = again[again["suite"] != BASE].merge(recorded, on=list(KEY), suffixes=("_now", ""), how="left")
    same = pd.concat([both[name] == both[f"{name}_now"] for name in COMPARED], axis="columns").all(axis="columns")
    return both[~same]


def keep(sample: Sample) -> Path:
    """Repeat a sample of the runs on record and keep the rows as those of this kind of CPU; returns their folder.

    Raises:
        UserError: as of `reproduce`.
    """
    own = _own_folder(sample.record)
    again = _repeat(read_rows(sample.record), sample)
    kept = read_rows(own)
    own.mkdir(exist_ok=True)
    write_rows(own, pd.concat([kept[~kept["run_id"].isin(again["run_id"])], again], ignore_index=True))
    return own


def _own_folder(results: Path) -> Path:
    """Where a sample of the rows lies as CPUs like this one measure them, if those of `results` are of another kind."""
    return results / instruction_set().lower().replace(" ", "_")


def _of_this_cpu(results: Path) -> pd.DataFrame:
    """Rows on record that a CPU like this one measured, or may have: older ones do not say which did."""
    if runs_path(own := _own_folder(results)).exists():
        return read_rows(own)
    rows = read_rows(results)
    named = rows["device"].str.extract(r"^cpu \S+ (.+) \d+ thread", expand=False)
    same = named.isna() | (named == instruction_set())
    if len(rows) and not same.any():
        raise UserError(
            f"{runs_path(results)} was measured on CPUs with {', '.join(sorted(named.unique()))}, and this one has "
            f"{instruction_set()}: it takes sums in another order, so values are not the same to the bit. Put a sample "
            "on record for CPUs like this one by: python -m benchmarks reproduce --keep"
        )
    return rows[same]


def _repeat(recorded: pd.DataFrame, sample: Sample) -> pd.DataFrame:
    """Rows of a sample of the recorded runs, measured anew."""
    recorded = recorded[recorded["suite"] != BASE]
    if recorded.empty:
        raise UserError(f"{sample.record} has no rows; there is nothing to compare with.")
    known = known_runs(sample.results, sample.cache, scale=sample.scale, seeds=int(recorded["seed"].max()) + 1)
    stale = sorted(set(recorded["run_id"]) - set(known))
    if stale:
        raise UserError(
            f"{len(stale)} runs on record (first {stale[0]}) are not among the runs of this checkout: their "
            "description has changed; measure them again and drop the old rows."
        )
    here = recorded[recorded["suite"] != DENSE]  # Table 7 takes minutes a run and an environment of its own
    chosen = _drawn({run_id: known[run_id] for run_id in here["run_id"].unique()}, sample)
    for world, runs in chosen:
        world = replace(world, env=replace(world.env, results=sample.scratch))
        tally = run_all(world, plan(world, runs), workers=None, report=sample.report)
        if tally.failures:
            raise UserError(f"{tally.failures} of the repeated runs failed; see {sample.scratch / 'failed'}.")
    return read_records(record_paths(sample.scratch))


def known_runs(
    results: Path, cache: Path, *, seeds: int, scale: SelfContained = "embedded"
) -> dict[str, tuple[World, Run]]:
    """Every run of every table of a scale by its id, those that join by name among them, with the world it is of."""
    found: dict[str, tuple[World, Run]] = {}
    for name in tables_at(scale):
        table = TABLES[name]
        options = Options(table=name, scale=scale, seeds=seeds, results=results, cache=cache, dry_run=True)
        world = table.open_world(options, table.tasks)
        more = table.more(world, seeds) if table.more else ()
        found |= {run.run_id: (world, run) for run in (*runs_of(options, world), *more)}
    return found


def _drawn(known: dict[str, tuple[World, Run]], sample: Sample) -> list[tuple[World, list[Run]]]:
    """Runs of one architecture in the order of their salted hashes, each with its world."""

    def place(text: str) -> str:
        return hashlib.sha256(f"{sample.salt}/{text}".encode()).hexdigest()

    architecture = min({run.architecture for _, run in known.values()}, key=place)
    ids = sorted((run_id for run_id, (_, run) in known.items() if run.architecture == architecture), key=place)[
        : sample.size
    ]
    by_world: dict[int, tuple[World, list[Run]]] = {}
    for world, run in (known[run_id] for run_id in ids):
        by_world.setdefault(id(world), (world, []))[1].append(run)
    return list(by_world.values())
