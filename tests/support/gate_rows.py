"""Rows of gates with plain values, and a results folder that every figure is drawn from."""

from dataclasses import replace
from pathlib import Path

import pandas as pd

from benchmarks.records.gates import GateRow, write_gates
from benchmarks.records.gates import collect_gates as collect
from benchmarks.records.variance import (
    CorrelationRow,
    VarianceRow,
    correlation_path,
    variance_path,
    write_variance_rows,
)
from benchmarks.variance.derived import net_variances

K = {"resnext50_32x4d": (3, 4, 6, 3), "resnet18": (2, 2, 2, 2)}
"""Sub-blocks of each block of two nets."""


def gate(net: str, task: str, block: int, source: int, target: int, value: float, **changes: object) -> GateRow:
    row = GateRow(
        block=block, source=source, target=target, existing=source == target - 1, sample=None, label=None,
        value=value, sd=0.1, n_examples=800, run_id=f"{net}-{task}-0", scale="embedded", architecture=net, task=task,
        variant="paper", seed=0,
    )  # fmt: skip
    return replace(row, **changes)


def gates_of(net: str, task: str, value: float = 0.4, **changes: object) -> list[GateRow]:
    return [
        gate(net, task, block, source, target, value, **changes)
        for block, k in enumerate(K[net], start=1)
        for target in range(1, k + 1)
        for source in range(target)
    ]


def frame_of(rows: list[GateRow], folder: Path) -> pd.DataFrame:
    for run_id in {row.run_id for row in rows}:
        write_gates(folder, [row for row in rows if row.run_id == run_id])
    return collect(folder)


def write_world(folder: Path) -> None:
    rows = [row for task in ("signs", "photos") for row in gates_of("resnext50_32x4d", task)]
    for task in ("signs", "photos", "textures"):
        for sample in (0, 7):
            run = {"run_id": f"resnet18-{task}-0", "sample": sample, "label": sample, "sd": None, "n_examples": 1}
            rows += gates_of("resnet18", task, 0.7, **run)
    rows += [replace(row, value=row.value - 0.9, variant="maps", run_id=f"{row.run_id}-maps") for row in rows]
    frame_of(rows, folder)
    measured = [
        VarianceRow(
            setting=setting, arm=arm, depth=depth, variance=value, log10_sd=0.1, n_draws=3, derived=value
        )
        for setting in ("derivation", "kaiming", "pretrained")
        for arm, norm in (("one skip", False), ("all skips + BN", True))
        for depth, value in enumerate(net_variances([1, 1, 1], 2, 4, norm=norm))
    ]  # fmt: skip
    write_variance_rows(variance_path(folder), measured)
    correlation = [
        CorrelationRow(d=d, rms=d**-0.5, standard_error=0.01, n_coordinates=64, derived=d**-0.5) for d in (8, 64)
    ]
    write_variance_rows(correlation_path(folder), correlation)
