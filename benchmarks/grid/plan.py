"""What of a list of runs is done, to do, or blocked; and whether their inputs can be read before anything starts."""

import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from benchmarks.nets.base_labels import check_base_labels
from benchmarks.nets.open import open_backbone
from benchmarks.nets.pretraining import is_whole_base
from benchmarks.records.collected import rows_so_far
from benchmarks.records.look_alikes import is_rehearsal
from benchmarks.records.names import LOOK_ALIKE, UNLABELLED
from benchmarks.records.record_files import is_whole, record_path
from benchmarks.records.rows import SCRATCH
from benchmarks.spec import Run
from benchmarks.worlds.world import World
from delta_core.training.errors import UserError
from delta_core.weights import weights_file


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A run and what will happen to it."""

    run: Run
    state: Literal["done", "todo", "blocked"]
    reason: str = ""


def plan(world: World, runs: list[Run], on_record: Collection[str] = ()) -> list[Planned]:
    """State of every run, without starting anything; runs `on_record` (ids) are done without a record of their own.

    A run whose record is damaged is not done, and a line on stderr says so.
    """

    def planned(run: Run) -> Planned:
        if run.run_id in on_record or is_whole(record_path(world.env.results, run.run_id), told=True):
            return Planned(run=run, state="done")
        reasons = [world.blocked[name] for name in run.data_names if name in world.blocked]
        return Planned(run=run, state="blocked" if reasons else "todo", reason="; ".join(reasons))

    return [planned(run) for run in runs]


def check_inputs(world: World, runs: list[Run]) -> None:
    """Open every backbone and result table that exists already and probe the folders, before anything is written.

    A cache that cannot be written will do where no base has to be trained: the rest is made anew each time.

    Rows measured on look-alikes and rows measured on data sets never come to lie in one folder.

    Args:
        world: where the runs come from.
        runs: those that are to do.

    Raises:
        UserError, DeltaError: for weights or results that cannot be read, or a folder that cannot be written.
    """
    if world.scale in ("real", "local"):
        for run in {run.weights: run for run in runs if run.weights != SCRATCH}.values():
            net = open_backbone(run, world.env)
            if world.base_task in world.env.folders and not world.base_task.startswith(UNLABELLED):
                check_base_labels(world.base_task, world.env.folders[world.base_task], net)
    if world.env.weights_root is not None:
        for run in {run.weights: run for run in runs if run.weights.startswith("timm:")}.values():
            weights_file(world.env.weights_root, run.weights.removeprefix("timm:"))
    needed = {run.weights for run in runs}
    trains = any(base.weights in needed and not is_whole_base(base, world.env) for base in world.bases)
    _check_folder(world.env.results, written=bool(runs))
    _check_folder(world.env.cache, written=trains)
    _check_kind(world)


def _check_folder(folder: Path, *, written: bool) -> None:
    existing = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    if not existing.is_dir() or (written and not os.access(existing, os.W_OK)):
        raise UserError(f"Folder {str(folder)!r} cannot be written; choose another with --results or --cache.")


def _check_kind(world: World) -> None:
    """Refuse runs on look-alikes where rows of data sets lie, and the other way round."""
    rows = rows_so_far(world.env.results)
    on_look_alikes = any(LOOK_ALIKE in data for data in world.tasks.values())
    if len(rows) and is_rehearsal(rows) != on_look_alikes:
        there, here = ("data sets", "look-alikes") if on_look_alikes else ("look-alikes", "data sets")
        raise UserError(
            f"{str(world.env.results)!r} holds rows measured on {there}, and these runs are on {here}; keep a "
            "rehearsal apart with --results."
        )
