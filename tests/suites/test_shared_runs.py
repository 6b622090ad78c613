"""Runs that two processes share: the loops of the suites measure what one process measures, up to rounding."""

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace

import pytest
from lightning_fabric import Fabric
from shared_run import on_ranks
from tiny import RECIPE, basic_block_net, convnext_net
from tiny_cell import tiny_cell
from tiny_sequence import TASKS, sequence
from workers import spawned

from benchmarks.methods.base import Cell, Method, Outcome
from benchmarks.methods.bitfit import BitFit
from benchmarks.methods.delta import DeltaNetworks
from benchmarks.methods.fc_only import FcOnly
from benchmarks.methods.lora import Lora
from benchmarks.methods.norm_tuning import NormTuning
from benchmarks.methods.paint import Paint
from benchmarks.methods.readings import MAPS
from benchmarks.methods.scratch import Scratch, ScratchDelta
from benchmarks.suites.sequence.runner import walk
from delta_core import DeltaConfig

SGD = replace(RECIPE, optimizer="sgd", lr=0.01, head_lr=0.01)  # AdamW makes steps of one size of what is rounding
METHODS: dict[str, Method] = {
    "table 13": Scratch(recipe=SGD),
    "table 13, delta": ScratchDelta(recipe=SGD, config=DeltaConfig.paper(n_modules=1)),
    "paint": Paint(recipe=SGD),
    "paint, convnext": Paint(recipe=SGD),
    "fc only": FcOnly(recipe=SGD),
    "delta": DeltaNetworks(recipe=SGD, config=DeltaConfig(n_modules=2), reading=MAPS),
    "delta, fresh views": DeltaNetworks(
        recipe=replace(SGD, views=0), config=DeltaConfig.paper(n_modules=1), reading="paper"
    ),
    "norm tuning": NormTuning(recipe=SGD),
    "bitfit": BitFit(recipe=SGD),
    "lora": Lora(recipe=SGD),
}


def measured(fabric: Fabric, name: str) -> Outcome:
    """What a method, or the sequence of Table 4, measures with a Fabric."""
    net = convnext_net if name.endswith("convnext") else basic_block_net
    cell: Cell = tiny_cell(net, fabric=fabric)
    if name == "sequence":
        return walk(sequence("mean", method=Paint(recipe=SGD)), cell, basic_block_net(), TASKS)
    return METHODS[name].measure(cell)


@pytest.fixture(scope="module")
def pool() -> Iterator[ProcessPoolExecutor]:
    with spawned(2) as processes:
        yield processes


@pytest.mark.parametrize("name", [*METHODS, "sequence"])
def test_two_processes_measure_what_one_does_and_prove_the_same(pool: ProcessPoolExecutor, name: str) -> None:
    shared = [replace(outcome, train_s=0.0) for outcome in on_ranks(pool, 2, measured, name)]
    alone = replace(measured(Fabric(accelerator="cpu", devices=1), name), train_s=0.0)
    assert shared[0] == shared[1], "values, fingerprints and gates"
    frozen = alone.base_logits_equal is not None
    assert shared[0].base_logits_equal == alone.base_logits_equal
    if frozen:
        assert alone.base_logits_equal
        assert shared[0].backbone_sha_after == alone.backbone_sha_after
    assert shared[0].steps == alone.steps
    for one, other in zip(shared[0].measurements, alone.measurements, strict=True):
        assert replace(one, value=0.0) == replace(other, value=0.0)
        assert one.value == pytest.approx(other.value, abs=100 / other.n_examples), "one image at most"
