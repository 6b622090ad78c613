"""Which node does which job: Ray places jobs, and each says where it has come to lie."""

from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

PATIENCE_S = 2.0
"""In which the answer has to come; nothing but `status` waits for it."""


class Whereabouts:
    """Kept by a process on the driver's own node, which ends with the driver."""

    def __init__(self) -> None:
        own = NodeAffinitySchedulingStrategy(node_id=ray.get_runtime_context().get_node_id(), soft=False)
        self.notes: Any = ray.remote(Notes).options(num_cpus=0, scheduling_strategy=own).remote()
        self._known: dict[str, list[str]] = {}

    def of(self, jobs: Mapping[str, str]) -> dict[str, list[str]]:
        """Node's id -> names of what it is at, of jobs by id; those that no node has begun are left out."""
        with suppress(ray.exceptions.RayError):  # what was known will do
            self._known = ray.get(self.notes.all.remote(), timeout=PATIENCE_S)
        at: dict[str, list[str]] = defaultdict(list)
        for job, nodes in self._known.items():
            for node in nodes if job in jobs else ():
                at[node].append(jobs[job])
        return dict(at)


class Notes:
    """Job's id -> ids of the nodes that began it last."""

    def __init__(self) -> None:
        self._at: dict[str, list[str]] = {}

    def begun(self, job: str, node: str, number: int) -> None:
        """A job has come to lie on a node, in the process of that number of those that share it."""
        self._at[job] = [*(self._at.get(job, []) if number else []), node]

    def all(self) -> dict[str, list[str]]:  # noqa: D102
        return self._at
