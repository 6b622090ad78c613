"""How long a grid would take on so many devices: the rules of `grid.pool` on runs whose seconds are known.

A device takes the next job that is ready; bases come first, then the longest runs, and a run is ready when its base is
there. Graham (1969) bounds what such a list can lose against the best order: less than half of the time.
"""

import heapq
from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from benchmarks.records.names import BASE
from delta_core.training.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Job:
    """A run or a base, and what it takes."""

    name: str
    seconds: float
    base: str = ""
    """Name of the job that must be done before."""


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """What jobs come to on so many devices."""

    devices: int
    busy_s: float
    """Work of all jobs."""
    makespan_s: float
    """From the start to the end of the last job."""
    last: Job
    """The job that ends last."""
    longest_chain_s: float
    """Of a job and its base: no number of devices is faster."""

    @property
    def bound_s(self) -> float:
        """No order of the jobs is faster."""
        return max(self.busy_s / self.devices, self.longest_chain_s)

    @property
    def efficiency(self) -> float:
        """Share of the devices' time that goes into jobs."""
        return self.busy_s / (self.makespan_s * self.devices)


def jobs_of(rows: pd.DataFrame) -> list[Job]:
    """A job for each run on record, with the seconds that it took.

    Raises:
        UserError: if there are none.
    """
    runs = rows.drop_duplicates("run_id")
    if runs.empty:
        raise UserError("There are no rows that tell how long runs take; give --results of a folder that has some.")
    bases = dict(runs.loc[runs["suite"] == BASE, ["weights", "run_id"]].to_numpy().tolist())
    seconds = (runs["train_s"] + runs["eval_s"]).tolist()
    told = runs[["run_id", "suite", "weights", "architecture", "task", "method", "variant"]].fillna("").astype("object")
    return [
        Job(
            name=run_id if suite == BASE else " ".join(filter(None, (run_id, *words))),
            seconds=took,
            base="" if suite == BASE else bases.get(weights, ""),
        )
        for (run_id, suite, weights, *words), took in zip(told.to_numpy().tolist(), seconds, strict=True)
    ]


def schedule(jobs: Iterable[Job], devices: int, *, between_s: float = 0.0) -> Schedule:
    """List scheduling.

    Args:
        jobs: each after its base, if that is among them.
        devices: of one speed.
        between_s: seconds that a device needs beside each job.
    """
    given = list(jobs)
    needed = {job.base for job in given}
    names = {job.name for job in given}
    waiting: dict[str, list[Job]] = {}
    ready: list[tuple[bool, float, str, Job]] = []

    def make_ready(job: Job) -> None:
        heapq.heappush(ready, (job.name not in needed, -job.seconds, job.name, job))

    for job in given:
        if job.base in names:
            waiting.setdefault(job.base, []).append(job)
        else:
            make_ready(job)
    running: list[tuple[float, str, Job]] = []
    now, free, last = 0.0, devices, given[0]
    while ready or running:
        while ready and free:
            job = heapq.heappop(ready)[-1]
            heapq.heappush(running, (now + job.seconds + between_s, job.name, job))
            free -= 1
        now, _, last = heapq.heappop(running)
        free += 1
        for job in waiting.pop(last.name, ()):
            make_ready(job)
    seconds = {job.name: job.seconds for job in given}
    return Schedule(
        devices=devices,
        busy_s=sum(seconds.values()),
        makespan_s=now,
        last=last,
        longest_chain_s=max(job.seconds + seconds.get(job.base, 0.0) for job in given),
    )
