"""Execute planned runs, one process per core or device, resumable at any moment.

A run is done when its record exists. Workers write records themselves, so killing anything loses at most the runs
that were under way. Drivers share what is to do: a run that another one is at is left to it.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from benchmarks.data.embedded import ALL_TASKS
from benchmarks.env import Env
from benchmarks.grid.board import Board, Place, named
from benchmarks.grid.limits import check_open_files
from benchmarks.grid.past import longest_first
from benchmarks.grid.plan import Planned
from benchmarks.grid.work import Job, Result, Task, killed, start_work
from benchmarks.grid.workers import Died, Workers
from benchmarks.nets.pretraining import BaseSpec, is_trained
from benchmarks.records.collected import rows_so_far
from benchmarks.records.record_files import record_path
from benchmarks.worlds.world import World
from delta_core.training.errors import MachineError, UserError
from delta_core.training.fabric import devices_of
from delta_core.training.whole_files import sweep_unfinished


@dataclass(frozen=True, kw_only=True)
class Tally:
    """What a whole grid came to."""

    failures: int
    busy_s: float
    """Seconds that all workers spent on jobs."""
    wall_s: float
    workers: int

    @property
    def efficiency(self) -> float:
        """Share of the workers' time that went into jobs; the rest is start, waiting and an uneven end.

        >>> Tally(failures=0, busy_s=18.0, wall_s=10.0, workers=2).efficiency
        0.9
        """
        return self.busy_s / (self.wall_s * self.workers)


class Pool(Protocol):
    """Does jobs, somewhere."""

    @property
    def pending(self) -> int:
        """Jobs that have not ended."""

    @property
    def slots(self) -> int:
        """Jobs that may be done at once, now."""

    def places(self) -> list[Place]:
        """Where jobs are done, and what each place is at."""

    def submit(self, job: Task) -> None:
        """Have a job done when there is room, in order."""

    def ended(self) -> Iterator[tuple[Task, Result | Died]]:
        """Wait until something happens, and give the jobs that have ended meanwhile, which may be none."""


def run_all(
    world: World,
    planned: list[Planned],
    *,
    workers: int | None,
    report: Callable[[Result], None],
    cluster: Pool | None = None,
) -> Tally:
    """Execute the runs that are to do, calling `report` for each as it ends, or is left to another driver.

    Bases come first, and the runs of an architecture start as soon as its base is there; on a cluster the longest
    first, as far as rows of other seeds tell.

    Args:
        world: where the runs come from.
        planned: the runs, with what is to happen to each.
        workers: of this machine; None = one for each core or device.
        report: called for each run as it ends.
        cluster: does the jobs instead of this machine.

    Raises:
        MachineError: at the first job for which no other would fare better, e.g. the disk is full.
    """
    todo = [item.run for item in planned if item.state == "todo"]
    rows = rows_so_far(world.env.results)
    if cluster:
        todo = longest_first(todo, rows)
    needed = {run.weights for run in todo}
    bases = [base for base in world.bases if base.weights in needed and not is_trained(base, world.env)]
    draw = {name for run in todo for name in run.data_names}
    drawings: list[Job] = [task for task in ALL_TASKS if task in draw]
    waiting = {base.weights: [run for run in todo if run.weights == base.weights] for base in bases}
    ready: list[Job] = [*bases, *(run for run in todo if run.weights not in waiting)]
    failures, busy_s, most, started = 0, 0.0, 0, time.perf_counter()
    env = world.env
    _sweep(env)
    recorded = {item.run.run_id for item in planned if record_path(env.results, item.run.run_id).exists()}
    board = Board(env.results, world.options.table, todo, rows)
    here = nullcontext(cluster) if cluster else _here(world, workers, jobs=len(todo) + len(bases))
    with board, here as pool:
        for job in (*drawings, *ready):  # to draw takes a few seconds, and all others read it
            pool.submit(Task(job=job))
        for result in _results(pool, env, board):
            busy_s += result.busy_s
            most = max(most, pool.slots)
            if isinstance(result.job, str):
                continue  # what could not be drawn is told by the runs that read it
            report(result)
            failures += bool(result.error)
            if result.rows:
                recorded.add(result.job.run_id)
                if isinstance(result.job, BaseSpec):
                    for run in waiting[result.job.weights]:
                        pool.submit(Task(job=run))
        wall_s = time.perf_counter() - started
    _check_still_there(recorded, env)
    return Tally(failures=failures, busy_s=busy_s, wall_s=wall_s, workers=most)


class WorkersHere(Workers[Task, Result]):
    """The pool of this machine."""

    def places(self) -> list[Place]:
        """Workers, each with its device and what it is at."""
        return [
            Place(name=f"worker {number} on {device}", slots=1, jobs=() if task is None else (named(task.job),))
            for number, (device, task) in enumerate(self.at_work)
        ]


def _here(world: World, workers: int | None, *, jobs: int) -> WorkersHere:
    """The pool of this machine."""
    devices = devices_of(world.env.device)
    each = world.options.devices_per_run
    shared = _shared(devices, each)
    count = max(1, min(workers or _default_workers(shared), jobs))
    env = world.env
    if world.options.loader_workers is None:
        env = replace(env, loader_workers=default_loader_workers(devices, runs_at_once=count * each))
    check_open_files(count * each, env.loader_workers)
    return _pool(env, [shared[index % len(shared)] for index in range(count)])


def _shared(devices: list[str], each: int) -> list[str]:
    """Devices in groups of those that share a run; on CPU they are cores."""
    if devices == ["cpu"]:
        return [",".join(["cpu"] * each)]
    if len(devices) < each:
        raise UserError(
            f"--devices-per-run is {each}, but there are {len(devices)} devices ({', '.join(devices)}); give at most "
            f"{len(devices)}."
        )
    return [",".join(devices[first : first + each]) for first in range(0, len(devices) - each + 1, each)]


def _results(pool: Pool, env: Env, board: Board) -> Iterator[Result]:
    """What comes of what was submitted, until nothing is left; a job that another driver is at comes once more."""
    left: list[Job] = []
    while pool.pending or left:
        if not pool.pending:  # nothing else remains
            for job in left:
                pool.submit(Task(job=job, wait=True))
            left.clear()
        board.write(pool.places, pending=pool.pending, slots=pool.slots)
        for task, ended in pool.ended():
            result = killed(task.job, ended.how, env) if isinstance(ended, Died) else ended
            if result.trouble:
                raise MachineError(result.trouble)
            if result.held_by:
                left.append(result.job)
            elif not isinstance(result.job, str):
                board.ended(result.job.run_id)
            yield result


def _pool(env: Env, devices: list[str]) -> WorkersHere:
    """Whatever is a `Pool` may stand here."""
    return WorkersHere(partial(start_work, env), devices)


SWEPT = ("", "records", "failed", "bases", "data", "starts")
"""Folders below results and cache in which a killed process may have left a file that it was writing."""


def _sweep(env: Env) -> None:
    for folder in (root / name for root in (env.results, env.cache) for name in SWEPT):
        with suppress(OSError):  # they harm nobody
            sweep_unfinished(folder)


def _check_still_there(run_ids: set[str], env: Env) -> None:
    """Raise MachineError unless these runs still have a record."""
    gone = sorted(run_id for run_id in run_ids if not record_path(env.results, run_id).exists())
    if gone:
        raise MachineError(
            f"{len(gone)} records of finished runs (first {gone[0]}) have gone from {env.results / 'records'} while "
            "others were measured; if nobody has them, start again and their runs will be repeated."
        )


def _default_workers(shared: list[str]) -> int:
    on_cpu = shared[0].split(",")
    return max(1, _cores() // len(on_cpu)) if on_cpu[0] == "cpu" else len(shared)


MOST_LOADER_WORKERS = 32
"""Of one run. A core decodes and crops some 200 photographs a second, so that these feed 6,000 a second to a net."""


def default_loader_workers(devices: list[str], *, runs_at_once: int) -> int:
    """Processes that decode images for each of the runs: on CPU none, since the runs have all cores already."""
    if devices == ["cpu"]:
        return 0
    return min(MOST_LOADER_WORKERS, max(1, _cores() // runs_at_once - 1))


def _cores() -> int:
    """The cores this process may use; not every system can tell."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
