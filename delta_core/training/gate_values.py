"""Gates of a trained patch, as its inputs move them, and what remains when they no longer do.

Shape legend: N images, B batch, S skips of a block.
"""

import copy
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from delta_core import DeltaModel
from delta_core.families import Wiring
from delta_core.gates import FixedGates, existing_skips
from delta_core.training.engine import predict
from delta_core.training.skip_gate import SkipGate


@contextmanager
def recorded_gates(model: DeltaModel) -> Iterator[dict[str, list[Tensor]]]:
    """Name of each gated block -> its gates (B or 1, S), batch by batch, of all forward passes inside the context.

    Gates per channel are averaged over the channels of their skip.
    """
    seen: dict[str, list[Tensor]] = {}

    def recorder(name: str) -> Callable[[nn.Module, Any, Tensor], None]:
        def record(_module: nn.Module, _inputs: Any, gates: Tensor) -> None:
            per_skip = gates.mean(-1) if gates.ndim == 3 else gates
            seen.setdefault(name, []).append(per_skip.detach().float().cpu())

        return record

    parts = ((block, model.patch().of(block)) for block in model.blocks)
    handles = [part.gates.register_forward_hook(recorder(block.name)) for block, part in parts if part is not None]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def gates_of(model: DeltaModel, run: nn.Module, batches: Iterable[Tensor]) -> dict[str, Tensor]:
    """Gates (N, S) of every gated block while `run` (the model or its suffix) answers for N inputs."""
    with recorded_gates(model) as seen:
        predict(run, batches)
    return {name: torch.cat(parts) for name, parts in seen.items()}


def with_mean_gates(model: DeltaModel, gates: dict[str, Tensor]) -> DeltaModel:
    """A copy whose active patch has fixed gates: the means of `gates` (N, S). The control for input-conditioning."""
    fixed = copy.deepcopy(model)
    for block in fixed.blocks:
        part = fixed.patch().of(block)
        if part is not None:
            mean = gates[block.name].double().mean(0)
            part.gates = FixedGates(mean.to(next(fixed.backbone.parameters())))
    return fixed


def gate_statistics(model: DeltaModel, gates: dict[str, Tensor], labels: Tensor) -> list[SkipGate]:
    """Mean and spread of every gate, and its values for two images of different classes.

    Args:
        model: owner of the blocks.
        gates: block -> (N, S).
        labels: (N,) classes of the images. The first image of all and the first of another class are the samples.
    """
    samples = [0, *(labels != labels[0]).nonzero().flatten()[:1].tolist()]
    return [
        found
        for number, block in enumerate(model.blocks, start=1)
        if block.name in gates
        for found in (
            *skip_gates(number, block.wiring, gates[block.name]),
            *(
                one
                for index in samples
                for one in skip_gates(
                    number, block.wiring, gates[block.name][index, None], sample=index, label=int(labels[index])
                )
            ),
        )
    ]


def skip_gates(
    number: int, wiring: Wiring, gates: Tensor, *, sample: int | None = None, label: int | None = None
) -> list[SkipGate]:
    """Gates (N, S) of one block as records: their means over N images."""
    k = round((2 * gates.shape[1] + 0.25) ** 0.5 - 0.5)
    pairs = [(source, target) for target in range(1, k + 1) for source in range(target)]
    existing = existing_skips(k, wiring).tolist()
    means = gates.double().mean(0).tolist()
    spreads: list[float | None] = gates.double().std(0).tolist() if len(gates) > 1 else [None] * len(pairs)
    return [
        SkipGate(
            block=number,
            source=source,
            target=target,
            existing=exists,
            sample=sample,
            label=label,
            value=value,
            sd=sd,
            n_examples=len(gates),
        )
        for (source, target), exists, value, sd in zip(pairs, existing, means, spreads, strict=True)
    ]
