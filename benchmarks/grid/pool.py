"""Execute planned runs, one process per core or device, resumable at any moment.

A run is done when its record exists. Workers write records themselves, so killing anything loses at most the runs
that were under way.
"""

import json
import os
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from multiprocessing import get_context, parent_process
from multiprocessing.queues import Queue
from pathlib import Path

import torch

from benchmarks.data.embedded import ALL_TASKS, load_embedded
from benchmarks.env import Env
from benchmarks.grid.plan import Planned
from benchmarks.nets.pretraining import BaseSpec, is_trained, pretrain
from benchmarks.records.record_files import write_record
from benchmarks.records.rows import Row
from benchmarks.spec import Run
from benchmarks.suites.execute import execute
from benchmarks.worlds.world import World
from delta_core.training.errors import UserError, missing_package
from delta_core.training.fabric import devices_of
from delta_core.training.process import keep_freed_memory
from delta_core.training.whole_files import whole_text

Job = str | BaseSpec | Run
"""A task to draw, a base to pre-train, or a run."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a job came to: rows, or the error that ended it."""

    job: Job
    rows: tuple[Row, ...] = ()
    error: str = ""
    busy_s: float = 0.0
    """Seconds that a worker spent on it."""


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


def run_all(world: World, planned: list[Planned], *, workers: int | None, report: Callable[[Result], None]) -> Tally:
    """Execute the runs that are to do, calling `report` for each as it ends.

    Bases come first, and the runs of an architecture start as soon as its base is there.
    """
    todo = [item.run for item in planned if item.state == "todo"]
    needed = {run.weights for run in todo}
    bases = [base for base in world.bases if base.weights in needed and not is_trained(base, world.env)]
    draw = {name for run in todo for name in run.data_names}
    drawings: list[Job] = [task for task in ALL_TASKS if task in draw]
    waiting = {base.weights: [run for run in todo if run.weights == base.weights] for base in bases}
    ready: list[Job] = [*bases, *(run for run in todo if run.weights not in waiting)]
    failures, busy_s, started = 0, 0.0, time.perf_counter()
    devices = devices_of(world.env.device)
    count = max(1, min(workers or _default_workers(devices), len(todo) + len(bases)))
    env = world.env
    if world.options.loader_workers is None:
        env = replace(env, loader_workers=default_loader_workers(devices, runs_at_once=count))
    with _pool(devices, count) as pool:
        drawn = [pool.submit(_work, job, env) for job in drawings]  # a few seconds each, and all others read them
        pending: set[Future[Result]] = {pool.submit(_work, job, env) for job in ready}
        while pending:
            finished, pending = wait(pending, return_when=FIRST_COMPLETED)
            for future in finished:
                result = _result(future)
                failures += bool(result.error)
                busy_s += result.busy_s
                report(result)
                if isinstance(result.job, BaseSpec) and not result.error:
                    pending |= {pool.submit(_work, run, env) for run in waiting[result.job.weights]}
        busy_s += sum(future.result().busy_s for future in drawn if future.exception() is None)
        wall_s = time.perf_counter() - started
    return Tally(failures=failures, busy_s=busy_s, wall_s=wall_s, workers=count)


def _result(future: "Future[Result]") -> Result:
    try:
        return future.result()
    except BrokenProcessPool as error:
        raise UserError(
            "A worker process died (out of memory?); finished runs are kept: start again, with fewer --workers."
        ) from error


def _pool(devices: list[str], count: int) -> ProcessPoolExecutor:
    context = get_context("spawn")
    keep_freed_memory()
    queue = context.Queue()
    for index in range(count):
        queue.put(devices[index % len(devices)])
    return ProcessPoolExecutor(count, mp_context=context, initializer=_start_worker, initargs=(queue,))


def _default_workers(devices: list[str]) -> int:
    return _cores() if devices == ["cpu"] else len(devices)


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


_device = "cpu"


def _start_worker(devices: "Queue[str]") -> None:
    """One thread a worker: results do not depend on how many run. A worker must not outlive a killed parent."""
    global _device
    _device = devices.get()
    torch.set_num_threads(1)
    parent = parent_process()
    assert parent is not None

    def end_with_parent() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()


def _work(job: Job, env: Env) -> Result:
    """Do one job in a worker; a failure is written beside the records and never counts as done."""
    started = time.perf_counter()
    env = replace(env, device=_device)
    if isinstance(job, str):
        load_embedded(job, cache_dir=env.cache / "data")
        return Result(job=job, busy_s=time.perf_counter() - started)
    try:
        rows = pretrain(job, env) if isinstance(job, BaseSpec) else execute(job, env)
    except Exception as error:  # noqa: BLE001 - one bad run must not end the others
        _write_failure(env.results, job, traceback.format_exc())
        missing = missing_package(error) if isinstance(error, ModuleNotFoundError) else None
        told = missing or f"{type(error).__name__}: {error}"
        return Result(job=job, error=told, busy_s=time.perf_counter() - started)
    write_record(env.results, rows)
    _failure_path(env.results, job).unlink(missing_ok=True)
    return Result(job=job, rows=tuple(rows), busy_s=time.perf_counter() - started)


def _failure_path(results: Path, job: BaseSpec | Run) -> Path:
    return results / "failed" / f"{job.run_id}.json"


def _write_failure(results: Path, job: BaseSpec | Run, trace: str) -> None:
    with whole_text(_failure_path(results, job)) as stream:
        json.dump({"run_id": job.run_id, "traceback": trace[-4000:]}, stream, indent=1)
