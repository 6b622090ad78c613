"""A run that several devices share: one process for each, which measures the same run and proves the same."""

import os
import time
import traceback
import warnings
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from tempfile import TemporaryDirectory

import torch

from benchmarks.env import Env
from benchmarks.grid.fork_server import process_context
from benchmarks.grid.workers import SAVE_S, answer_to_parent, how_it_ended
from benchmarks.records.rows import Row
from benchmarks.spec import Run
from benchmarks.suites.execute import execute
from delta_core.errors import DeltaError
from delta_core.training.errors import MachineError, UserError
from delta_core.training.interrupts import heard_later
from delta_core.training.ranks import Rank, Ranks

LOOK_S = 0.2
"""How often it is looked whether a process ended or a signal came."""


def shared_devices(env: Env) -> list[str]:
    """Devices that share a run."""
    return env.device.split(",")


def measure(run: Run, env: Env) -> list[Row]:
    """Measure one run, in this process or in one for each of its devices.

    Raises:
        Exception: as of `benchmarks.suites.execute.execute` and `execute_shared`.
    """
    if env.rank is not None:
        return measure_as_rank(run, env)
    return execute(run, env) if len(shared_devices(env)) == 1 else execute_shared(run, env)


def execute_shared(run: Run, env: Env) -> list[Row]:
    """Measure one run with a process for each of its devices; rows are those of the first.

    Raises:
        UserError, DeltaError, MachineError, OSError: as one of the processes met it.
        RuntimeError: if one of them failed otherwise, died, or measured something else than the first.
    """
    context = process_context()
    devices = shared_devices(env)
    processes: list[BaseProcess] = []
    pipes: list[Connection] = []
    with TemporaryDirectory(prefix="ranks-") as folder:
        try:
            for number, device in enumerate(devices):
                rank = Rank(number=number, world_size=len(devices), meeting=f"file://{folder}/meeting")
                here, there = context.Pipe(duplex=False)
                process = context.Process(target=_serve, args=(run, replace(env, device=device, rank=rank), there))
                process.start()
                there.close()
                processes.append(process)
                pipes.append(here)
            return _rows_of_the_first(processes, pipes)
        finally:
            for started in processes:
                started.kill()
                started.join()


def measure_as_rank(run: Run, env: Env) -> list[Row]:
    """What one of the processes does; its rows, which all of them measured alike.

    Raises:
        RuntimeError: if they did not.
    """
    assert env.rank is not None
    if env.rank.number:
        warnings.simplefilter("ignore")  # the first one tells them
    try:
        rows = execute(run, env)
        _check_equal(rows, Ranks.of(env.rank))
        return rows
    finally:
        if torch.distributed.is_initialized():  # on a cluster the process lives on, and shares other runs
            torch.distributed.destroy_process_group()


@dataclass(frozen=True, kw_only=True)
class _Failed:
    error: Exception
    at: float
    """Seconds; what comes after the first failure follows from it. 0 for a process that died."""


def _serve(run: Run, env: Env, pipe: Connection) -> None:
    answer_to_parent()
    torch.set_num_threads(1)
    try:
        pipe.send(measure_as_rank(run, env))
    except Exception as error:  # noqa: BLE001 - whoever waits for it tells
        at = time.monotonic()
        known = isinstance(error, UserError | DeltaError | MachineError | OSError)
        pipe.send(_Failed(error=error if known else RuntimeError(traceback.format_exc()), at=at))
    os._exit(0)  # a group some of whose members failed would wait for them


def _check_equal(rows: Sequence[Row], ranks: Ranks) -> None:
    """Values, and the proof that the base stayed frozen, are the same in all processes."""
    own = [(row.column, row.split, row.value, row.backbone_sha_after, row.base_logits_equal) for row in rows]
    found = ranks.of_all(own)
    for number, other in enumerate(found):
        if other != found[0]:
            raise RuntimeError(f"Process {number} of the run measured or proved something else than process 0.")


def _rows_of_the_first(processes: Sequence[BaseProcess], pipes: Sequence[Connection]) -> list[Row]:
    """Wait for all of them; the first failure is what came of the run. SIGTERM lets them write their state."""
    came: dict[int, list[Row] | _Failed] = {}
    with heard_later() as is_asked:
        while len(came) < len(processes) and not is_asked():
            time.sleep(LOOK_S)
            for number, (process, pipe) in enumerate(zip(processes, pipes, strict=True)):
                if number not in came:
                    _look(number, process, pipe, came)
            failed = [each for each in came.values() if isinstance(each, _Failed)]
            if failed:
                raise min(failed, key=lambda each: each.at).error
        if is_asked():
            for process in processes:
                process.terminate()
            ends = time.monotonic() + SAVE_S
            for process in processes:
                process.join(max(0.0, ends - time.monotonic()))
    rows = came[0]
    assert not isinstance(rows, _Failed)
    return rows


def _look(number: int, process: BaseProcess, pipe: Connection, came: dict[int, list[Row] | _Failed]) -> None:
    alive = process.is_alive()  # before its pipe is looked into: of a dead one all is there
    if pipe.poll():
        with suppress(EOFError):
            came[number] = pipe.recv()
    if number not in came and not alive:
        died = f"Process {number} of the run was {how_it_ended(process)}."
        came[number] = _Failed(error=RuntimeError(died), at=0.0)
