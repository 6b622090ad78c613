"""Gate-weighted sums of a deep block as the library makes them, against one kernel for every skip and one buffer."""

from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
from torch import Tensor

from benchmarks.perf.paired import interleaved_seconds
from benchmarks.perf.rows import PerfRow, perf_row
from delta_core.plain_sum import plain_sum
from delta_core.skip_sum import SkipSums, fused_kernels
from delta_core.skip_sum_store import BufferedNodes

Way = Literal["ours", "plain", "buffer"]


def measure(
    *,
    repetitions: int = 7,
    device: str = "cpu",
    k: int = 23,
    batch: int = 8,
    channels: int = 1024,
    size_px: int = 14,
) -> list[PerfRow]:
    """Seconds of all sums of one block, forward and backward; by default resnet101's third at 224 px.

    Sub-blocks do nothing, so that the sums are all of the work. The bytes that have to be moved at least, over what a
    plain copy reaches here, are the limit. Where Triton's kernels make the sums, so on CUDA, they are compared with one
    buffer of nodes, too, which is what the library takes elsewhere.
    """
    shape = (batch, channels, size_px, size_px)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(shape, generator=generator).to(device, memory_format=torch.channels_last)
    gates = (torch.rand(batch, k * (k + 1) // 2, generator=generator) / k).to(device)
    ways: list[Way] = ["ours", "plain"] if fused_kernels(x.device) is None else ["ours", "plain", "buffer"]
    runs: dict[str, Callable[[], object]] = {way: partial(block_of_sums, gates, x, k, way) for way in ways}
    runs["copy"] = x.clone
    seconds = interleaved_seconds(runs, repetitions)
    # Nodes read by every sum, by its gates' gradients and by its nodes' gradients; a copy reads and writes one node.
    node_reads = 3 * k * (k + 1) // 2
    limits = [node_reads / 2 * copy for copy in seconds["copy"]]
    setting: dict[str, object] = {"k": k, "shape": list(shape)}
    references = {"one kernel a skip": seconds["plain"], "reading the nodes": limits}
    if "buffer" in seconds:
        references["one buffer of nodes"] = seconds["buffer"]
    return [
        perf_row(f"sums and their gradients / {name}", "s", seconds["ours"], reference, setting, device=device)
        for name, reference in references.items()
    ]


def block_of_sums(gates: Tensor, x: Tensor, k: int, way: Way = "ours") -> None:
    """All sums of a block of k sub-blocks that do nothing, with their gradients."""
    gates = gates.clone().requires_grad_()
    sums = SkipSums(gates, k)
    if way == "buffer":
        sums.store, sums.token = BufferedNodes(x, k), torch.zeros(())
    nodes = [x]
    for target in range(1, k + 1):
        first = target * (target - 1) // 2
        plain = way == "plain"
        nodes.append(plain_sum(gates[:, first : first + target], nodes) if plain else sums(nodes[-1]))
    nodes[-1].sum().backward()
