"""The nodes of a Ray cluster: each is looked at before it gets a job, and left out with its reason if it won't do."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from benchmarks.cluster.node import Facts, facts_here, name_here
from benchmarks.grid.board import Place
from benchmarks.spec import Run
from benchmarks.worlds.options import Options

LOOK_S = 1.0
"""How often it is looked whether nodes came or went."""
MOST_LOSSES = 3
"""Processes that may die while they look at a node, or nodes and processes that may be lost with one job."""
PATIENCE_S = 300.0
"""In which a node has to answer: it imports torch and may have to read the data."""


@dataclass(kw_only=True)
class _Node:
    name: str
    slots: int
    """Jobs at once."""
    answer: "ray.ObjectRef[tuple[str, Facts | str]] | None"
    asked: float
    losses: int = 0
    """Processes that died while they looked."""
    is_fit: bool = False


@ray.remote(num_cpus=0, max_retries=0)
def _look(options: Options, runs: Sequence[Run]) -> tuple[str, Facts | str]:
    return name_here(), facts_here(options, runs)


class Fleet:
    """Nodes that are there, those that may work, and why others may not.

    Args:
        options: of the grid.
        runs: that are to do; a node must be able to read what they need.
        facts: of the driver's machine, which a node must share.
        resource: Ray's name of what a job takes one of, `CPU` or `GPU`.
    """

    def __init__(self, options: Options, runs: Sequence[Run], facts: Facts, resource: str) -> None:
        self.refused: dict[str, str] = {}
        """Name of a node -> why it gets no jobs."""
        self._options = options
        self._runs = runs
        self._facts = facts
        self._resource = resource
        self._nodes: dict[str, _Node] = {}
        self._looked = -LOOK_S
        self._own = ray.get_runtime_context().get_node_id()
        self.has_own = True
        """Whether the node is there through which the driver speaks to the cluster."""

    @property
    def fit(self) -> dict[str, int]:
        """Ray's ids of the nodes that may work, and how many jobs each does at once."""
        return {node_id: node.slots for node_id, node in self._nodes.items() if node.is_fit}

    def places(self, at: Mapping[str, Sequence[str]]) -> list[Place]:
        """Nodes that work, with what each is `at` (by Ray's id), those that have not answered, and those left out."""
        there = [
            Place(
                name=f"node {node.name}",
                slots=node.slots,
                jobs=tuple(at.get(node_id, ())),
                left_out="" if node.is_fit else "It has not answered yet.",
            )
            for node_id, node in self._nodes.items()
            if node.is_fit or node.answer is not None
        ]
        out = [Place(name=f"node {name}", slots=0, left_out=reason) for name, reason in self.refused.items()]
        return there + out

    @property
    def is_waiting(self) -> bool:
        """Whether a node has not answered yet."""
        return any(node.answer is not None for node in self._nodes.values())

    def look(self) -> list[str]:
        """Ask new nodes, forget those that are gone, and give what there is to tell, a sentence each."""
        if time.monotonic() - self._looked < LOOK_S:
            return []
        self._looked = time.monotonic()
        there = {node["NodeID"]: node for node in ray.nodes() if node["Alive"]}  # type: ignore[no-untyped-call]
        self.has_own = self._own in there
        told = [f"node {self._nodes.pop(gone).name} is gone" for gone in self._nodes.keys() - there.keys()]
        for node_id in there.keys() - self._nodes.keys():
            slots = int(there[node_id]["Resources"].get(self._resource, 0))
            if slots:
                name = there[node_id]["NodeManagerHostname"]
                answer = self._ask(node_id)
                self._nodes[node_id] = _Node(name=name, slots=slots, answer=answer, asked=time.monotonic())
        return told + [line for node_id in self._nodes if (line := self._answered(node_id))]

    def leave_out(self, node_id: str, reason: str) -> str:
        """Give a node no more jobs."""
        node = self._nodes.get(node_id)
        if node is None or not node.is_fit:
            return ""
        return self._refuse(node, reason)

    def _refuse(self, node: _Node, reason: str) -> str:
        node.is_fit = False
        self.refused[node.name] = reason
        return f"node {node.name} is left out: {reason}"

    def _ask(self, node_id: str) -> "ray.ObjectRef[tuple[str, Facts | str]]":
        here = NodeAffinitySchedulingStrategy(node_id=node_id, soft=False)
        return _look.options(scheduling_strategy=here).remote(self._options, self._runs)

    def _answered(self, node_id: str) -> str:
        node = self._nodes[node_id]
        if node.answer is None:
            return ""
        ready, _ = ray.wait([node.answer], timeout=0)
        if not ready:
            if time.monotonic() - node.asked < PATIENCE_S:
                return ""
            reason = f"It did not answer in {PATIENCE_S:.0f} s."
        else:
            try:
                node.name, found = ray.get(node.answer)
                reason = found if isinstance(found, str) else _difference(found, self._facts)
            except ray.exceptions.RayError as error:
                node.losses += 1
                if node.losses < MOST_LOSSES:
                    node.answer = self._ask(node_id)
                    return ""
                reason = f"It cannot work ({type(error).__name__}: {str(error).strip().splitlines()[-1]})."
        node.answer, node.is_fit = None, not reason
        if reason:
            return self._refuse(node, reason)
        return f"node {node.name} works, {node.slots} at a time"


def _difference(found: Facts, wanted: Facts) -> str:
    """What of a node is not as on the driver's machine, in a sentence; empty if all is."""
    for name in (field.name for field in fields(Facts)):
        here, there = getattr(wanted, name), getattr(found, name)
        if name == "data":
            other = sorted(task for task in here.keys() | there.keys() if here.get(task) != there.get(task))
            if other:
                return f"Its data of {other[0]} are {there.get(other[0])}, the driver's are {here.get(other[0])}."
        elif here != there:
            return f"Its {name} is {there}, the driver's is {here}."
    return ""
