"""The patching runner: one RunSpec in, its rows out."""

import copy
from collections.abc import Callable
from dataclasses import asdict

from torch import nn

from benchmarks.data.load import load_task
from benchmarks.env import Env
from benchmarks.methods.base import Cell
from benchmarks.nets.open import preprocessings
from benchmarks.nets.untouched import base_logits
from benchmarks.records.gates import GateRow, write_gates
from benchmarks.records.look_alikes import banner_of
from benchmarks.records.rows import Row
from benchmarks.suites.opened import open_run
from benchmarks.suites.patching.spec import RunSpec
from delta_core.training.identity import canonical_json
from delta_core.training.skip_gate import SkipGate
from delta_core.training.tensor_store import TensorStore


def execute(spec: RunSpec, env: Env) -> list[Row]:
    """Measure one cell: load backbone and data, run the method, return rows that carry their own proof."""
    opened = open_run(spec, env)
    backbone = opened.backbone
    at_task, at_base = preprocessings(spec.scale, spec.image_size, backbone, base_transform=spec.base_transform)
    task = load_task(spec.task, env, at_task, views=spec.method.recipe.views)
    base = opened.base_task(spec.base_task, at_base, accepted=spec.base_transform)
    logits_before = base_logits(opened.untouched(base), "test") if base is not None else None
    cell = Cell(
        architecture=spec.architecture,
        new_backbone=_copies(backbone),
        task=task,
        base=base,
        base_logits=logits_before,
        store=TensorStore(root=env.cache / "features", limit_gb=env.cache_gb),
        fabric=opened.fabric,
        order_seed=spec.order_seed,
        init_seed=spec.init_seed,
        stages=opened.stages,
    )
    outcome = spec.method.measure(cell)
    # Before the record, whose existence says that everything is there.
    if outcome.gates and opened.fabric.is_global_zero:
        write_gates(env.results, (_gate_row(spec, gate) for gate in outcome.gates))
    return opened.rows(outcome, data_sha=task.sha, preprocessing=at_task)


def _gate_row(spec: RunSpec, gate: SkipGate) -> GateRow:
    return GateRow(
        **asdict(gate),
        run_id=spec.run_id,
        scale=spec.scale,
        architecture=spec.architecture,
        task=spec.task,
        variant=spec.method.variant,
        seed=spec.seed,
        rehearsal=banner_of(canonical_json(spec)),
    )


def _copies(backbone: nn.Module) -> Callable[[], nn.Module]:
    """A factory of fresh copies; the pristine state is kept apart, whatever happens to the first net."""
    pristine = copy.deepcopy(backbone)
    return lambda: copy.deepcopy(pristine)
