"""The runner of Tables 4 and 11: PAINT from interpolated weights to interpolated weights, task after task.

At every step the whole net is fine-tuned with a new head, and alpha mixes the weights before and after that step. The
heads of earlier tasks stay as they were trained; at test the task is known and selects the head (Section 3.1).
"""

import copy
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import nn

from benchmarks.data.groups import grouped, members
from benchmarks.data.load import load_task
from benchmarks.env import Env
from benchmarks.methods.base import Cell, EvalSplit, Measurement, Outcome
from benchmarks.methods.finetune import FineTuned, train_all, trained_params
from benchmarks.methods.paint import ALPHAS, interpolate_
from benchmarks.nets.open import preprocessings
from benchmarks.records.rows import Row
from benchmarks.suites.opened import open_run
from benchmarks.suites.sequence.spec import Rule, SequenceSpec
from delta_core import backbone_fingerprint
from delta_core.training.data.splits import TaskData
from delta_core.training.tensor_store import TensorStore


@dataclass(frozen=True, kw_only=True)
class Learned:
    """A task of the past: its data, and the head that answers it."""

    cell: Cell
    model: FineTuned
    """Its backbone is the net as it is now."""


def execute(spec: SequenceSpec, env: Env) -> list[Row]:
    """Walk through one sequence.

    Returns:
        Rows of base and all tasks at all eleven alphas of the last step (variant `lr=...,RULE`, Table 11), and of base
        and tasks so far at the chosen alpha after each step before (variant `lr=...,RULE,after=N`).
    """
    opened = open_run(spec, env)
    backbone = opened.backbone
    at_task, at_base = preprocessings(spec.scale, spec.image_size, backbone, base_transform=spec.base_transform)
    tasks = [load_task(name, env, at_task, views=spec.method.recipe.views) for name in members(spec.task)]
    cell = Cell(
        new_backbone=lambda: backbone,
        task=tasks[0],
        base=opened.base_task(spec.base_task, at_base, accepted=spec.base_transform),
        base_logits=None,
        store=TensorStore(root=env.cache / "features", limit_gb=0),
        fabric=opened.fabric,
        order_seed=0,
        init_seed=0,
        stages=opened.stages,
    )
    outcome = walk(spec, cell, backbone, tasks)
    return opened.rows(outcome, data_sha=grouped([task.sha for task in tasks]), preprocessing=at_task)


def walk(spec: SequenceSpec, cell: Cell, net: nn.Module, tasks: Sequence[TaskData]) -> Outcome:
    """Learn the tasks one after the other in `net`, which ends at the last step's chosen alpha."""
    arm = f"{spec.method.variant},{spec.rule}"
    measurements: list[Measurement] = []
    if cell.base is not None:
        measurements.append(cell.measure_base(cell.logits(net, "test", base=True), "test", phase="before"))
    learned: list[Learned] = []
    steps, train_s = 0, 0.0
    for number, task in enumerate(tasks, 1):
        init_seed, order_seed = spec.seeds_at(task.name)
        here = replace(
            cell, new_backbone=lambda: copy.deepcopy(net), task=task, init_seed=init_seed, order_seed=order_seed
        )
        model, more_steps, seconds = train_all(here, spec.method.recipe, f"training {number}")
        steps, train_s = steps + more_steps, train_s + seconds
        before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
        after = model.backbone.state_dict()
        model.backbone = net
        learned.append(Learned(cell=here, model=model))

        by_alpha: dict[float, list[Measurement]] = {}
        for alpha in ALPHAS:
            interpolate_(net, before, after, alpha)
            by_alpha[alpha] = _measure(cell, net, learned, "val", variant=arm, alpha=alpha)
            if number == len(tasks):
                measurements += by_alpha[alpha] + _measure(cell, net, learned, "test", variant=arm, alpha=alpha)
        alpha = max(ALPHAS, key=lambda alpha: score(spec.rule, [found.value for found in by_alpha[alpha]]))
        interpolate_(net, before, after, alpha)
        if number < len(tasks):
            step = f"{arm},after={number}"
            measurements += _measure(cell, net, learned, "test", variant=step, alpha=alpha)
    return Outcome(
        measurements=tuple(measurements),
        params_delta=trained_params(net),
        params_head=sum(parameter.numel() for item in learned for parameter in item.model.head.parameters()),
        steps=steps,
        train_s=train_s,
        backbone_sha_after=backbone_fingerprint(net),
        base_logits_equal=None,
    )


def score(rule: Rule, accuracies: Sequence[float]) -> float:
    """What alpha maximises: a mean of accuracies in per cent, on the base (if there are data) and all tasks so far.

    >>> score("mean", [20.0, 60.0]), score("harmonic_mean", [20.0, 60.0])
    (40.0, 30.0)
    """
    return statistics.fmean(accuracies) if rule == "mean" else statistics.harmonic_mean(accuracies)


def _measure(
    cell: Cell, net: nn.Module, learned: Sequence[Learned], split: EvalSplit, *, variant: str, alpha: float
) -> list[Measurement]:
    """Accuracy of the net as it is on the base task and on every task so far, each with its own head."""
    name = f"{len(learned)} tasks, {variant}, alpha {alpha:g}, {split}"
    return cell.measured(name, lambda: _measured_now(cell, net, learned, split, variant=variant, alpha=alpha))


def _measured_now(
    cell: Cell, net: nn.Module, learned: Sequence[Learned], split: EvalSplit, *, variant: str, alpha: float
) -> list[Measurement]:
    found = [item.cell.measure_task(item.model, split, variant=variant, alpha=alpha) for item in learned]
    if cell.base is not None:
        logits = cell.logits(net, split, base=True)
        found.insert(0, cell.measure_base(logits, split, variant=variant, alpha=alpha))
    return found
