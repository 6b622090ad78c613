"""One job in a worker: claimed, so that no other driver does it too, done, and recorded before anybody hears of it."""

import json
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch

from benchmarks.data.embedded import load_embedded
from benchmarks.env import Env
from benchmarks.grid.ranks import measure, shared_devices
from benchmarks.nets.pretraining import BaseSpec, checkpoint_path, is_trained, pretrain
from benchmarks.records.record_files import read_record, record_path, write_record
from benchmarks.records.rows import Row
from benchmarks.run_log import log_rows
from benchmarks.spec import Run
from benchmarks.stages import forget_stages
from delta_core.training.errors import FULL, MachineError, UserError, missing_package, trouble_of_the_machine
from delta_core.training.lock import holder, locked
from delta_core.training.provenance import restart_peak_mem
from delta_core.training.whole_files import whole_text, write_whole

Job = str | BaseSpec | Run
"""A task to draw, a base to pre-train, or a run."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """A job as workers get it."""

    job: Job
    wait: bool = False
    """Whether to wait for another driver that is at it."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a job came to: rows, the error that ended it, or who else is at it."""

    job: Job
    rows: tuple[Row, ...] = ()
    error: str = ""
    trouble: str = ""
    """Of the machine, for which no other job would fare better: a full disk, a folder that has gone."""
    held_by: str = ""
    """Another driver's worker, as its lock names it."""
    elsewhere: bool = False
    """Whether another driver measured these rows."""
    busy_s: float = 0.0
    """Seconds that a worker spent on it."""


def start_work(env: Env, device: str) -> Callable[[Task], Result]:
    """What a worker does with its tasks. One thread a worker: results do not depend on how many run."""
    torch.set_num_threads(1)
    return partial(work_on, env=replace(env, device=device))


def work_on(task: Task, env: Env) -> Result:
    """Do one job; a failure is written beside the records and never counts as done."""
    started = time.perf_counter()
    job = task.job
    try:
        if isinstance(job, str):
            result = _drawn(job, env)
        else:
            with claimed(job, env, wait=task.wait) as held_by:
                started = time.perf_counter()
                result = Result(job=job, held_by=held_by) if held_by else _measured(job, env)
    except (OSError, MachineError) as error:
        result = Result(job=job, trouble=told(error))
    return replace(result, busy_s=time.perf_counter() - started)


def failure_path(results: Path, job: BaseSpec | Run) -> Path:
    """Where the reason lies why a job failed."""
    return results / "failed" / f"{job.run_id}.json"


def write_failure(results: Path, job: BaseSpec | Run, reason: str) -> None:
    """Leave the reason why a job failed, as a traceback or a sentence."""
    with whole_text(failure_path(results, job)) as stream:
        json.dump({"run_id": job.run_id, "traceback": reason[-4000:]}, stream, indent=1)


def killed(job: Job, how: str, env: Env) -> Result:
    """What came of a job whose worker died: its rows, if that happened after they were written.

    Args:
        job: what it was at.
        how: the worker died.
        env: where its record and its failure lie.
    """
    ended = f"its process was {how}" if how.startswith("killed") else f"its process {how}"
    if isinstance(job, str):
        return Result(job=job, error=ended)
    rows = _rows_on_record(job, env)
    if rows:
        return Result(job=job, rows=rows)
    try:
        write_failure(env.results, job, f"{ended[0].upper()}{ended[1:]} in the middle of the run.")
    except OSError as error:
        return Result(job=job, trouble=told(error))
    return Result(job=job, error=ended)


@contextmanager
def claimed(job: BaseSpec | Run, env: Env, *, wait: bool) -> Iterator[str]:
    """Hold the lock of a job, or give the process that holds it; the file of a lock leaves with its holder."""
    path = env.results / ".locks" / job.run_id
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(path, wait=wait))
        except BlockingIOError:
            yield holder(path)
            return
        try:
            yield ""
        finally:
            path.unlink(missing_ok=True)


def _drawn(name: str, env: Env) -> Result:
    try:
        load_embedded(name, cache_dir=env.cache / "data")
    except OSError:
        raise
    except Exception as error:  # noqa: BLE001 - the runs that read it will say so
        return Result(job=name, error=f"{type(error).__name__}: {error}")
    return Result(job=name)


def _rows_on_record(job: BaseSpec | Run, env: Env) -> tuple[Row, ...]:
    """Rows of a job that is done, none of one that is not."""
    if isinstance(job, BaseSpec) and not is_trained(job, env):
        return ()
    try:
        return tuple(read_record(record_path(env.results, job.run_id)))
    except (FileNotFoundError, UserError):  # not there, or damaged
        return ()


def found_on_record(job: BaseSpec | Run, env: Env) -> Result | None:
    """A job that somebody else has done meanwhile; None for one that is to do."""
    rows = _rows_on_record(job, env)
    if not rows:
        return None
    forget_stages(job.run_id, env)
    return Result(job=job, rows=rows, elsewhere=True)


def adopt(result: Result, files: Mapping[str, bytes], base: bytes | None, env: Env) -> Result:
    """Put what another machine measured where it would lie, had it been measured here; its record last.

    Args:
        result: of that machine.
        files: path below results -> content, all but the record.
        base: checkpoint of a base that was pre-trained there.
        env: folders of this machine.
    """
    try:
        for name, content in files.items():
            write_whole(env.results / name, content)
        if isinstance(result.job, BaseSpec) and base is not None:
            write_whole(checkpoint_path(env.cache, result.job.run_id), base)
        if result.rows:
            _record(list(result.rows), env)
            failure_path(env.results, result.job).unlink(missing_ok=True)  # type: ignore[arg-type]
    except (OSError, MachineError) as error:
        return replace(result, rows=(), trouble=told(error))
    return result


def _measured(job: BaseSpec | Run, env: Env) -> Result:
    """A job that nobody else is at, unless somebody has done it meanwhile.

    Raises:
        MachineError, OSError: for trouble of the machine.
    """
    try:
        if found := found_on_record(job, env):
            return found
        restart_peak_mem()
        if isinstance(job, BaseSpec):  # slim nets, each too small to share
            rows = pretrain(job, replace(env, device=shared_devices(env)[0]))
        else:
            rows = measure(job, env)
            log_rows(job, env, rows)
        _record(rows, env)
        forget_stages(job.run_id, env)
    except MachineError:
        raise
    except BaseException as error:  # one bad run must not end the others, nor its worker
        if isinstance(error, OSError) and _is_everybodys(error, env):
            raise
        write_failure(env.results, job, traceback.format_exc())
        missing = missing_package(error) if isinstance(error, ModuleNotFoundError) else None
        return Result(job=job, error=missing or f"{type(error).__name__}: {error}")
    failure_path(env.results, job).unlink(missing_ok=True)
    return Result(job=job, rows=tuple(rows))


def _record(rows: list[Row], env: Env) -> None:
    try:
        write_record(env.results, rows)
    except OSError as error:
        raise MachineError(told(error)) from error


def _is_everybodys(error: OSError, env: Env) -> bool:
    """Whether no other job would fare better: disks that are full, and the folders that all of them write to."""
    place = Path(error.filename).absolute() if isinstance(error.filename, str) else None
    shared = [folder.absolute() for folder in (env.results, env.cache, env.log_dir) if folder is not None]
    return error.errno in FULL or (place is not None and any(place.is_relative_to(folder) for folder in shared))


def told(error: OSError | MachineError) -> str:
    """Trouble of a machine in a sentence, wherever it came up."""
    known = trouble_of_the_machine(error)
    if known is None and isinstance(error, OSError):
        where = f" ({error.filename})" if error.filename else ""
        known = f"{error.strerror or error}{where}; see to it, then start again: what was finished is kept."
    return known or str(error)
