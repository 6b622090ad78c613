"""A run that several devices of a cluster share: a Ray task for each, in one placement group, on whatever nodes."""

import socket
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import ray
from ray.util.placement_group import PlacementGroup, placement_group, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from benchmarks.cluster.node import Base, Shipped, id_of, work_here
from benchmarks.grid.work import Task
from benchmarks.worlds.options import Options
from delta_core.training.ranks import Rank

LOST_S = 30.0
"""In which Ray has to find out that a process was lost with whose end the others failed."""


@ray.remote(max_retries=0)
def _meeting() -> str:
    """Where the processes of a run find the first of them, asked on its node."""
    with socket.socket() as probe:
        probe.bind(("", 0))
        port = probe.getsockname()[1]
    address: str = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]
    return f"tcp://{address}:{port}"


@ray.remote(max_retries=0)
def _work(task: Task, options: Options, base: Base | None, notes: Any, number: int, meeting: str) -> Shipped:
    node = ray.get_runtime_context().get_node_id()
    notes.begun.remote(id_of(task), node, number)
    rank = Rank(number=number, world_size=options.devices_per_run, meeting=meeting)
    return work_here(task, options, node, base, rank=rank)


@dataclass(frozen=True, kw_only=True)
class SharedJob:
    """Tasks of one job."""

    group: PlacementGroup
    tasks: "tuple[ray.ObjectRef[Shipped], ...]"
    """What the first one gives is what came of the job."""

    @property
    def was_lost(self) -> bool:
        """Whether a process other than the first was lost, and not ended by what it did itself."""
        others = list(self.tasks[1:])
        ray.wait(others, num_returns=len(others), timeout=LOST_S)
        ready, _ = ray.wait(others, num_returns=len(others), timeout=0)
        return any(_is_lost(each) for each in ready)

    def end(self) -> None:
        """Give the devices back, whatever is still at work."""
        for each in self.tasks:
            ray.cancel(each, force=True)
        remove_placement_group(self.group)


def start_shared(
    task: Task,
    options: Options,
    base: "ray.ObjectRef[Base | None] | None",
    notes: Any,
    resource: str,
    nodes: Iterable[str],
) -> SharedJob:
    """Have a job done by as many devices as the options say, on some of these nodes, few of them if that is possible.

    Args:
        task: the job.
        options: of the grid.
        base: what the job's net was pre-trained to, if it was.
        notes: hear which nodes it came to lie on.
        resource: `CPU` or `GPU`, of which each process takes one.
        nodes: Ray's ids.
    """
    count = options.devices_per_run
    bundle = {"CPU": 1.0} if resource == "CPU" else {"CPU": 1.0, "GPU": 1.0}
    selector = {"ray.io/node-id": f"in({','.join(nodes)})"}
    group = placement_group([bundle] * count, strategy="PACK", bundle_label_selector=[selector] * count)

    def at(number: int) -> PlacementGroupSchedulingStrategy:
        return PlacementGroupSchedulingStrategy(placement_group=group, placement_group_bundle_index=number)

    meeting = _meeting.options(num_cpus=0, scheduling_strategy=at(0)).remote()
    takes = {"num_cpus": 1, "num_gpus": bundle.get("GPU", 0)}
    tasks = tuple(
        _work.options(scheduling_strategy=at(number), **takes).remote(task, options, base, notes, number, meeting)
        for number in range(count)
    )
    return SharedJob(group=group, tasks=tasks)


def _is_lost(reference: "ray.ObjectRef[Shipped]") -> bool:
    try:
        ray.get(reference)
    except ray.exceptions.RayTaskError:
        return False
    except ray.exceptions.RayError:
        return True
    return False
