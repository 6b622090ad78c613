"""Answers of many patches on one backbone: what no patch touches is computed once.

That is the net in front of the first gated block, and of that block the first sub-block's convolutions: gates weigh
what comes out of them. On a ResNet they are a third of the block.

Shape legend: B batch, C channels, H W size, F pooled features, N classes.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import cast

import torch
from torch import Tensor

from delta_core.errors import DeltaError
from delta_core.families import Block, base_head, pool
from delta_core.patch import Entered, enter
from delta_core.staged import Names, StagedNet


def answers(net: StagedNet, x: Tensor, names: Sequence[str]) -> dict[str, Tensor]:
    """`DeltaModel.forward_patches`: every patch on all images."""
    first = {name: net.first_gated(net.ready_patch(name)) for name in names}
    found: dict[str | None, Tensor] = {}
    for index in range(1 + max(first.values(), default=-1)):
        found |= _finish(net, index, x, {name: None for name in first if first[name] == index})
        if len(found) < len(first):
            x = net.run_stage(net.stages[index], x, None)
    return {name: found[name] for name in first}


def answers_of_each(net: StagedNet, x: Tensor, names: Names) -> list[Tensor]:
    """`DeltaModel.forward_each`: every image under its own patch."""
    check_names(names, x)
    first = {name: len(net.stages) if name is None else net.first_gated(net.ready_patch(name)) for name in names}
    found: dict[int, Tensor] = {}
    held = list(range(len(x)))  # images that x is still about
    for index in range(1 + max(first.values(), default=-1)):
        ends = [row for row in held if first[names[row]] == index]
        if ends:
            rows: dict[str | None, list[int]] = defaultdict(list)
            for place, row in enumerate(ends):
                rows[names[row]].append(place)
            here = x[[held.index(row) for row in ends]]
            for name, logits in _finish(net, index, here, rows).items():
                found |= {ends[place]: each for place, each in zip(rows[name], logits, strict=True)}
            goes_on = [place for place, row in enumerate(held) if row not in found]
            if not goes_on:
                break
            x, held = x[goes_on], [held[place] for place in goes_on]
        x = net.run_stage(net.stages[index], x, None)
    return [found[row] for row in range(len(names))]


def check_names(names: Names, x: Tensor) -> None:
    """Raise DeltaError unless there is a name for each image."""
    if len(names) != len(x):
        raise DeltaError(f"{len(names)} names of patches were given for {len(x)} images; give one an image.")


def _finish(
    net: StagedNet, index: int, x: Tensor, rows: Mapping[str | None, list[int] | None]
) -> dict[str | None, Tensor]:
    """Logits (B, N) of patches whose first gated stage is `index`, from x, what enters it.

    Args:
        net: with these patches.
        index: number of the stage; that of stages for heads alone, which read pooled features.
        x: (B, C, H, W).
        rows: name of each patch, or None for the base -> its images, None for all.
    """
    if not rows:
        return {}
    if index == len(net.stages):
        pooled = pool(net.backbone, x)
        heads = {name: base_head(net.backbone) if name is None else net.patch(name).head for name in rows}
        return {name: cast(Tensor, heads[name](_of(pooled, chosen))) for name, chosen in rows.items()}
    entered = _shared(net, index, x) if len(rows) > 1 else None
    return {name: net.suffix(_of(x, chosen), name, _both(entered, chosen)) for name, chosen in rows.items()}


def _shared(net: StagedNet, index: int, x: Tensor) -> Entered | None:
    stage = net.stages[index]
    recomputed = net.gradient_checkpointing and torch.is_grad_enabled()
    return enter(stage, net.backbone, x) if isinstance(stage, Block) and not recomputed else None


def _of(x: Tensor, rows: list[int] | None) -> Tensor:
    return x if rows is None else x[rows]


def _both(entered: Entered | None, rows: list[int] | None) -> Entered | None:
    return None if entered is None else (_of(entered[0], rows), _of(entered[1], rows))
