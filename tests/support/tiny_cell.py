"""A cell of the patching runner, small enough for a unit test."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from lightning_fabric import Fabric
from tiny import basic_block_net, tiny_task
from torch import nn

from benchmarks.methods.base import Cell
from delta_core.training.engine import predict
from delta_core.training.tensor_store import TensorStore


def tiny_cell(make_net: Callable[[], nn.Module] = basic_block_net, *, base: bool = True, **changes: object) -> Cell:
    """A cell of random images; a net is drawn from a fixed seed, so every copy is the same."""
    base_task = tiny_task("glyphs62", classes=7, seed=10) if base else None
    cpu = torch.device("cpu")
    logits = predict(make_net(), base_task.test.batches(250, device=cpu)) if base_task else None
    cell = Cell(
        new_backbone=make_net,
        task=tiny_task(),
        base=base_task,
        base_logits=logits,
        store=TensorStore(root=Path("no features"), limit_gb=0),
        fabric=Fabric(accelerator="cpu", devices=1),
        order_seed=1,
        init_seed=2,
    )
    return replace(cell, **changes)
