"""Gate-weighted sums of a deep block over one buffer of nodes, against one kernel for every skip."""

from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks.perf.paired import interleaved_seconds
from benchmarks.perf.rows import PerfRow, perf_row
from delta_core.skip_sum import SkipSums, plain_sum


def measure(
    *, repetitions: int = 7, k: int = 23, batch: int = 8, channels: int = 1024, size_px: int = 14
) -> list[PerfRow]:
    """Seconds of all sums of one block, forward and backward; by default resnet101's third at 224 px.

    Sub-blocks do nothing, so that the sums are all of the work. The bytes that one buffer has to move at least, over
    what a plain copy reaches here, are the limit.
    """
    shape = (batch, channels, size_px, size_px)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(shape, generator=generator).contiguous(memory_format=torch.channels_last)
    gates = torch.rand(batch, k * (k + 1) // 2, generator=generator) / k
    runs: dict[str, Callable[[], object]] = {
        "ours": lambda: block_of_sums(gates, x, k, plain=False),
        "plain": lambda: block_of_sums(gates, x, k, plain=True),
        "copy": x.clone,
    }
    seconds = interleaved_seconds(runs, repetitions)
    # Nodes read by every sum, by its gates' gradients and by its nodes' gradients; a copy reads and writes one node.
    node_reads = 3 * k * (k + 1) // 2
    limits = [node_reads / 2 * copy for copy in seconds["copy"]]
    setting: dict[str, object] = {"k": k, "shape": list(shape)}
    return [
        perf_row("sums and their gradients / one kernel a skip", "s", seconds["ours"], seconds["plain"], setting),
        perf_row("sums and their gradients / reading the nodes", "s", seconds["ours"], limits, setting),
    ]


def block_of_sums(gates: Tensor, x: Tensor, k: int, *, plain: bool) -> None:
    """All sums of a block of k sub-blocks that do nothing, with their gradients."""
    gates = gates.clone().requires_grad_()
    sums = SkipSums(gates, k)
    nodes = [x]
    for target in range(1, k + 1):
        first = target * (target - 1) // 2
        nodes.append(plain_sum(gates[:, first : first + target], nodes) if plain else sums(nodes[-1]))
    nodes[-1].sum().backward()
