"""What runs on a node: what it has to offer, and one job at a time, whose files go back to the driver.

A node's own folders are those of the same options, seen from the folder in which `ray start` was called there.
"""

import shutil
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from benchmarks.env import Env
from benchmarks.grid.plan import check_inputs
from benchmarks.grid.work import Result, Task, told, work_on
from benchmarks.nets.pretraining import BaseSpec, checkpoint_path, is_whole_base
from benchmarks.spec import Run
from benchmarks.tables import table_of
from benchmarks.worlds.options import Options
from benchmarks.worlds.world import World
from delta_core.errors import DeltaError
from delta_core.training.errors import MachineError, UserError
from delta_core.training.fabric import devices_of
from delta_core.training.provenance import git_state, versions
from delta_core.training.ranks import Rank
from delta_core.training.whole_files import write_whole

LEAST_FREE_GB = 1.0
"""Room that a node must have below its cache."""
Base = tuple[BaseSpec, bytes]
"""A base, and the file of its weights."""

STAY = ("work", ".locks")
"""Folders below results that are of use on the node alone."""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What the values of a run depend on, on one machine."""

    commit: str
    versions: str
    data: dict[str, str]
    """Task -> identity of its data."""


@dataclass(frozen=True, kw_only=True)
class Shipped:
    """What a job came to, and what it wrote."""

    result: Result
    node: str
    """Ray's id of the node."""
    files: dict[str, bytes] = field(default_factory=dict)
    """Below the results folder of the scale, records left out: their rows are in the result."""
    base: bytes | None = None
    """Checkpoint of a base that was pre-trained."""


def facts_here(options: Options, runs: Sequence[Run]) -> Facts | str:
    """What this machine would measure runs of a table with, or why it cannot, in a sentence."""
    try:
        world = _world_here(options)
        world.env.cache.mkdir(parents=True, exist_ok=True)
        check_inputs(world, list(runs))
        free_gb = shutil.disk_usage(world.env.cache).free / 10**9
    except (UserError, DeltaError) as error:
        return str(error)
    except (OSError, MachineError) as error:
        return told(error)
    if free_gb < LEAST_FREE_GB:
        return f"{free_gb:.1f} GB are free below {str(world.env.cache)!r}, and {LEAST_FREE_GB:g} are needed."
    return facts_of(world)


def facts_of(world: World) -> Facts:
    """Of a world that was opened on this machine."""
    commit, is_changed = git_state()
    return Facts(
        commit=commit + (" with changes" if is_changed else ""),
        versions=versions(),
        data={**world.tasks, world.base_task: world.base_data},
    )


def id_of(task: Task) -> str:
    """What tells a job from the others of a grid."""
    return task.job if isinstance(task.job, str) else task.job.run_id


def work_here(task: Task, options: Options, node: str, base: Base | None, *, rank: Rank | None = None) -> Shipped:
    """Do one job with one thread, as a worker of the machine's own pool does.

    Args:
        task: the job.
        options: of the grid.
        node: id of this node.
        base: what the job's net was pre-trained to, if it was.
        rank: of this process among those that share the job.
    """
    torch.set_num_threads(1)
    env = _world_here(options).env
    try:
        env.cache.mkdir(parents=True, exist_ok=True)
        if base is not None and not is_whole_base(base[0], env):
            write_whole(checkpoint_path(env.cache, base[0].run_id), base[1])
        with TemporaryDirectory(dir=env.cache, prefix="unshipped-") as folder:
            there = replace(env, results=Path(folder), device=devices_of(env.device)[0], rank=rank)
            result = work_on(replace(task, wait=True), there)
            return Shipped(result=result, node=node, files=_files(Path(folder)), base=_base(result, env))
    except OSError as error:
        return Shipped(result=Result(job=task.job, trouble=told(error)), node=node)


@cache
def _world_here(options: Options) -> World:
    table = table_of(options.table)
    with TemporaryDirectory() as nothing:
        return table.open_world(replace(options, results=Path(nothing)), table.tasks)


def _files(results: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(results)): path.read_bytes()
        for path in sorted(results.rglob("*"))
        if path.is_file() and path.suffix != ".jsonl" and path.relative_to(results).parts[0] not in STAY
    }


def _base(result: Result, env: Env) -> bytes | None:
    if not isinstance(result.job, BaseSpec) or not result.rows:
        return None
    return checkpoint_path(env.cache, result.job.run_id).read_bytes()


def name_here() -> str:
    """Of this machine, as people call it, and the folder of the node on it."""
    return f"{socket.gethostname()}:{Path.cwd()}"
