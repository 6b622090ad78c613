"""Processes that share a run, for tests: each calls the same function with a Fabric of its own."""

import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import torch
from lightning_fabric import Fabric

from delta_core.training.fabric import make_fabric
from delta_core.training.ranks import Rank


def on_ranks(pool: ProcessPoolExecutor, world_size: int, function: Callable[..., Any], *args: Any) -> list[Any]:
    """What a function gives in each of so many processes, called with a Fabric and the arguments.

    Args:
        pool: with as many workers at least, all idle.
        world_size: processes that train together.
        function: as processes can import it.
        args: as they can be pickled.
    """
    with tempfile.TemporaryDirectory() as folder:
        ranks = [
            Rank(number=number, world_size=world_size, meeting=f"file://{folder}/meeting")
            for number in range(world_size)
        ]
        return [each.result() for each in [pool.submit(_call, rank, function, args) for rank in ranks]]


def _call(rank: Rank, function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    torch.set_num_threads(1)
    fabric: Fabric = make_fabric("cpu", "32-true", rank=rank)
    try:
        return function(fabric, *args)
    finally:
        torch.distributed.destroy_process_group()
