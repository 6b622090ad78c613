"""Jobs as Ray tasks, with what the machine's own pool has: `submit`, `ended` and `pending`.

Ray places a job on one of the nodes that may work; this file claims it, sends its base along, and writes what comes
back. A job whose node or process was lost is done again elsewhere, one that failed by itself is not.
"""

import socket
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import ray

from benchmarks.cluster.fleet import LOOK_S, MOST_LOSSES, Fleet
from benchmarks.cluster.node import Base, Shipped, id_of, work_here
from benchmarks.cluster.shared import SharedJob, start_shared
from benchmarks.cluster.whereabouts import Whereabouts
from benchmarks.grid.board import Place, named
from benchmarks.grid.work import Job, Result, Task, adopt, claimed, found_on_record
from benchmarks.grid.workers import SAVE_S, Died
from benchmarks.nets.pretraining import BaseSpec, checkpoint_path
from benchmarks.worlds.options import Options
from benchmarks.worlds.world import World
from delta_core.training.errors import MachineError

ALONE_S = 120.0
"""For which there may be no node that works while jobs wait."""


@dataclass(frozen=True, kw_only=True)
class _Sent:
    task: Task
    claim: ExitStack
    """Holds the job's lock until what came of it is written."""
    shared: SharedJob | None = None
    """Where several devices share the job."""


@ray.remote(max_retries=0)
def _work(task: Task, options: Options, base: Base | None, notes: Any) -> Shipped:
    node = ray.get_runtime_context().get_node_id()
    notes.begun.remote(id_of(task), node, 0)
    return work_here(task, options, node, base)


class RayWorkers:
    """A pool on a cluster that is connected.

    Args:
        world: of the driver; its folders are the driver's.
        fleet: nodes.
        resource: `CPU` or `GPU`, of which a job takes one.
        most: jobs at once; None = as many as there is room for.
        address: host and port of the cluster's head, which must stay.
        tell: hears of nodes that come, go or are left out.
    """

    def __init__(
        self,
        world: World,
        fleet: Fleet,
        *,
        resource: str,
        most: int | None,
        address: tuple[str, int],
        tell: Callable[[str], None],
    ) -> None:
        self._world = world
        self._fleet = fleet
        self._resource = resource
        self._most = most
        self._address = address
        self._tell = tell
        self._queue: deque[Task] = deque()
        self._sent: dict[ray.ObjectRef[Shipped], _Sent] = {}
        self._losses = Counter[str]()
        self._bases: dict[str, ray.ObjectRef[Base | None]] = {}
        self._worked = time.monotonic()
        self._whereabouts = Whereabouts()

    @property
    def pending(self) -> int:
        """Jobs that have not ended."""
        return len(self._queue) + len(self._sent)

    @property
    def slots(self) -> int:
        """Jobs that may be done at once."""
        room = sum(self._fleet.fit.values()) // self._world.options.devices_per_run
        return room if self._most is None else min(room, self._most)

    def places(self) -> list[Place]:
        """Nodes, and what each is at."""
        return self._fleet.places(
            self._whereabouts.of({id_of(sent.task): named(sent.task.job) for sent in self._sent.values()})
        )

    def submit(self, job: Task) -> None:
        """Have a job done when a node has room, in order."""
        self._queue.append(job)

    def ended(self) -> Iterator[tuple[Task, Result | Died]]:
        """Wait until something happens, and give the jobs that have ended meanwhile, which may be none.

        Raises:
            MachineError: if the cluster is gone, or no node of it will do.
        """
        for line in self._fleet.look():
            self._tell(line)
        if not self._fleet.has_own:
            raise MachineError(
                "The node of the Ray cluster through which this command speaks to it is gone; start the command again, "
                "on a node that is there: what was finished is kept."
            )
        yield from self._hand_out()
        if not self._sent:
            self._wait_for_nodes()
            return
        ready, _ = ray.wait(list(self._sent), num_returns=1, timeout=LOOK_S)
        if not ready:
            self._check_head()
        for reference in ready:
            sent = self._sent.pop(reference)
            with sent.claim:
                came = self._came_of(reference, sent)
            if sent.shared:
                sent.shared.end()
            if came is not None:
                yield sent.task, came

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Jobs under way write their state where they are, and end."""
        with suppress(ray.exceptions.RayError):
            for reference, sent in self._sent.items():
                for each in sent.shared.tasks if sent.shared else (reference,):
                    ray.cancel(each)
            if kind is not None and issubclass(kind, KeyboardInterrupt):
                ray.wait(list(self._sent), num_returns=len(self._sent), timeout=SAVE_S)
        for sent in self._sent.values():
            sent.claim.close()
        self._sent.clear()

    def _hand_out(self) -> Iterator[tuple[Task, Result]]:
        """Send jobs while there is room; what needs no work is told at once."""
        put_off: list[Task] = []
        while self._queue and len(self._sent) < self.slots:
            task = self._queue.popleft()
            if isinstance(task.job, str):  # each node draws what its runs read
                yield task, Result(job=task.job)
                continue
            claim = ExitStack()
            held_by = claim.enter_context(claimed(task.job, self._world.env, wait=False))
            if held_by and task.wait:
                put_off.append(task)
                continue
            found = None if held_by else found_on_record(task.job, self._world.env)
            if held_by or found:
                claim.close()
                yield task, found or Result(job=task.job, held_by=held_by)
                continue
            reference, shared = self._start(task)
            self._sent[reference] = _Sent(task=task, claim=claim, shared=shared)
            self._worked = time.monotonic()
        self._queue.extendleft(reversed(put_off))

    def _start(self, task: Task) -> "tuple[ray.ObjectRef[Shipped], SharedJob | None]":
        options = self._world.options
        if options.devices_per_run > 1 and not isinstance(task.job, BaseSpec):
            base, notes = self._base_of(task.job), self._whereabouts.notes
            shared = start_shared(task, options, base, notes, self._resource, self._fleet.fit)
            return shared.tasks[0], shared
        nodes = ",".join(self._fleet.fit)
        takes = {"num_cpus": 1} if self._resource == "CPU" else {"num_cpus": 1, "num_gpus": 1}
        placed = _work.options(label_selector={"ray.io/node-id": f"in({nodes})"}, **takes)
        return placed.remote(task, options, self._base_of(task.job), self._whereabouts.notes), None

    def _base_of(self, job: Job) -> "ray.ObjectRef[Base | None] | None":
        """What the job's net was pre-trained to, put where nodes get it, once for all jobs."""
        for base in self._world.bases:
            if not isinstance(job, str | BaseSpec) and base.weights == job.weights:
                if base.weights not in self._bases:
                    content = checkpoint_path(self._world.env.cache, base.run_id).read_bytes()
                    self._bases[base.weights] = ray.put((base, content))
                return self._bases[base.weights]
        return None

    def _came_of(self, reference: "ray.ObjectRef[Shipped]", sent: _Sent) -> Result | Died | None:
        """What a job came to; None if it was lost, and is to be done again."""
        task = sent.task
        try:
            shipped: Shipped = ray.get(reference)
        except ray.exceptions.RayTaskError as error:
            return Result(job=task.job, error=f"{type(error.cause).__name__}: {error.cause}")
        except ray.exceptions.RayError as error:
            return self._lost(task, type(error).__name__)
        if shipped.result.error and sent.shared and sent.shared.was_lost:
            return self._lost(task, "one of those that shared it")
        if shipped.result.trouble:
            told = self._fleet.leave_out(shipped.node, shipped.result.trouble)
            if told:
                self._tell(told)
            self._queue.appendleft(task)
            return None
        return adopt(shipped.result, shipped.files, shipped.base, self._world.env)

    def _lost(self, task: Task, how: str) -> Died | None:
        """Do a job again whose node or process was lost, unless that happened too often."""
        assert not isinstance(task.job, str)
        self._check_head()
        self._losses[task.job.run_id] += 1
        if self._losses[task.job.run_id] == MOST_LOSSES:
            return Died(f"was lost {MOST_LOSSES} times with its node or process ({how})")
        self._queue.appendleft(task)
        return None

    def _wait_for_nodes(self) -> None:
        if not self._queue or self.slots:
            self._worked = time.monotonic()
            time.sleep(0.01)
            return
        self._check_head()
        reasons = [f"{name}: {reason}" for name, reason in self._fleet.refused.items()]
        devices, room = self._world.options.devices_per_run, sum(self._fleet.fit.values())
        if room:
            reasons.append(f"{devices} devices are to share a run, and the nodes that will do have {room}.")
        if not self._fleet.is_waiting and (reasons or time.monotonic() - self._worked > ALONE_S):
            told = " ".join(["No node of the cluster will do, and what was finished is kept.", *reasons])
            raise MachineError(told)
        time.sleep(0.1)

    def _check_head(self) -> None:
        """Raise MachineError if the head does not answer."""
        try:
            socket.create_connection(self._address, timeout=5).close()
        except OSError as error:
            raise MachineError(
                f"The head of the Ray cluster at {self._address[0]}:{self._address[1]} is gone; start the cluster and "
                "this command again: what was finished is kept."
            ) from error
