"""A connection to a Ray cluster, and the pool on it."""

import logging
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import ray

from benchmarks.cluster.fleet import Fleet
from benchmarks.cluster.node import facts_of
from benchmarks.cluster.ray_workers import RayWorkers
from benchmarks.spec import Run
from benchmarks.worlds.world import World
from delta_core.training.errors import UserError
from delta_core.training.interrupts import SIGNALS

PATIENCE_S = 10.0
"""In which the head of a cluster has to take a connection."""


@contextmanager
def workers_on_cluster(world: World, runs: list[Run], *, tell: Callable[[str], None]) -> Iterator[RayWorkers]:
    """The pool on the cluster that `--cluster` names; `local` starts one on this machine, which ends with it.

    Args:
        world: of the grid.
        runs: that are to do.
        tell: hears of nodes that come, go or are left out.

    Raises:
        UserError: if there is no cluster of that address.
    """
    choice, most = world.options.cluster, world.options.workers
    assert choice is not None
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        _connect(choice, most)
        for number, handler in handlers.items():  # Ray puts its own in their place
            signal.signal(number, handler)
        has_gpus = world.options.device != "cpu" and ray.cluster_resources().get("GPU", 0) > 0  # type: ignore[no-untyped-call]
        resource = "GPU" if has_gpus else "CPU"
        host, _, port = ray.get_runtime_context().gcs_address.rpartition(":")
        fleet = Fleet(world.options, runs, facts_of(world), resource)
        with RayWorkers(world, fleet, resource=resource, most=most, address=(host, int(port)), tell=tell) as workers:
            yield workers
    finally:
        ray.shutdown()


def _connect(choice: str, most: int | None) -> None:
    if choice not in ("auto", "local"):
        _check_address(choice)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent anywhere
    is_local = choice == "local"
    try:
        ray.init(
            address=choice,
            num_cpus=most if is_local else None,
            include_dashboard=False if is_local else None,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise _refused(choice, type(error).__name__) from error


def _check_address(address: str) -> None:
    """Raise UserError unless something listens there: Ray itself would wait for minutes."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise _refused(address, "an address is host:port")
    try:
        socket.create_connection((host, int(port)), timeout=PATIENCE_S).close()
    except OSError as error:
        raise _refused(address, error.strerror or str(error)) from error


def _refused(choice: str, why: str) -> UserError:
    return UserError(
        f"--cluster {choice!r} is no Ray cluster that answers ({why}); start one by `ray start --head`, then give "
        "`auto` or its address, or give `local`."
    )
