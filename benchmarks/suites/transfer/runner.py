"""The transfer runner: one TransferSpec in, its rows out."""

import copy
from dataclasses import replace
from pathlib import Path

from benchmarks.env import Env
from benchmarks.methods.base import Cell
from benchmarks.nets.slim import PREPROCESSING
from benchmarks.records.rows import Row
from benchmarks.suites.opened import open_run
from benchmarks.suites.transfer.data import load_rate
from benchmarks.suites.transfer.spec import TransferSpec
from delta_core.training.tensor_store import TensorStore
from delta_core.weights import preprocessing_of


def execute(spec: TransferSpec, env: Env) -> list[Row]:
    """Measure one cell: open the source net and its share of the data, train, return rows."""
    opened = open_run(spec, env)
    source = opened.backbone
    preprocessing = PREPROCESSING if spec.scale == "embedded" else preprocessing_of(source, spec.image_size)
    task = load_rate(
        spec.task,
        env,
        preprocessing,
        percent=spec.train_percent,
        min_crop_area=spec.min_crop_area,
        with_val=spec.with_val,
        in_turn=spec.scale == "embedded",
    )
    cell = Cell(
        new_backbone=lambda: copy.deepcopy(source),
        task=task,
        base=None,
        base_logits=None,
        store=TensorStore(root=Path(), limit_gb=0),  # nothing here is frozen
        fabric=opened.fabric,
        order_seed=spec.order_seed,
        init_seed=spec.init_seed,
        stages=opened.stages,
    )
    outcome = spec.method.measure(cell)
    if spec.with_val:  # trained on, so no measure of anything
        outcome = replace(outcome, measurements=tuple(m for m in outcome.measurements if m.split == "test"))
    return opened.rows(outcome, data_sha=task.sha, preprocessing=preprocessing)
