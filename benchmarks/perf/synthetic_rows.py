"""Rows of every embedded table whose values are made by arithmetic: the runs are planned as ever, and never trained."""

import math
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.data.groups import members
from benchmarks.methods.base import EVAL_SPLITS, Measurement, Outcome
from benchmarks.methods.finetune import FineTune
from benchmarks.methods.paint import ALPHAS, Paint
from benchmarks.methods.paint_on_base import PaintOnBase
from benchmarks.methods.scratch import Scratch
from benchmarks.methods.skips import DeltaArm, DeltaGates
from benchmarks.records.collected import write_rows
from benchmarks.records.names import ADAPTERS_SEARCH, BASE_AGREEMENT, MEAN_GATES, TOP5_TASKS, VALIDATED, WITH_BATCH_NORM
from benchmarks.records.rows import Row, to_frame
from benchmarks.spec import Run
from benchmarks.suites.dense.spec import DenseRun
from benchmarks.suites.domain_adaptation.spec import DomainSpec
from benchmarks.suites.patching.spec import RunSpec
from benchmarks.suites.sequence.spec import SequenceSpec
from benchmarks.suites.to_rows import rows_of
from benchmarks.suites.transfer.methods.base import Transfer
from benchmarks.tables import TABLES, runs_of
from benchmarks.worlds.options import Options
from delta_core.training.provenance import versions

BASE_TOP1 = 90.0
"""Of every untouched net, in per cent."""
BACKBONE = "0" * 64
"""Fingerprint of every net: as long as a real one, so that a file of these rows is as large as a real one."""


ORIGIN: dict[str, object] = {
    "git_sha": "0" * 40,
    "git_dirty": False,
    "versions": versions(),
    "device": "none",
    "precision": "32-true",
    "deterministic": True,
    "measured_at": "2000-01-01T00:00:00+00:00",
    "peak_mem_mb": 100.0,
    "world_size": 1,
}


def synthetic_rows(at_least: int) -> list[Row]:
    """Rows of all embedded tables, of as many seeds as it takes."""
    with TemporaryDirectory() as folder:
        results = Path(folder)
        # First the search, whose rows say which runs the adapter study has.
        search = [row for run in planned_runs(1, results, (ADAPTERS_SEARCH,)) for row in _rows(run)]
        write_rows(results / "embedded", to_frame(search))
        one_seed = [row for run in planned_runs(1, results) for row in _rows(run)]
        seeds = math.ceil(at_least / len(one_seed))
        return one_seed if seeds == 1 else [row for run in planned_runs(seeds, results) for row in _rows(run)]


def synthetic_rows_by_run(runs: int) -> list[list[Row]]:
    """Rows of so many runs, those of each together."""
    rows = synthetic_rows(runs)
    while len({row.run_id for row in rows}) < runs:
        rows = synthetic_rows(2 * len(rows))
    return [list(found) for _, found in groupby(rows, key=lambda row: row.run_id)][:runs]


def planned_runs(seeds: int, results: Path, tables: Iterable[str] = tuple(TABLES)) -> list[Run]:
    """Every run of these tables once, of so many seeds; nothing is written."""
    found: dict[str, Run] = {}
    for name in tables:
        table = TABLES[name]
        options = Options(table=name, scale="embedded", seeds=seeds, results=results, cache=Path("none"))
        world = table.open_world(replace(options, dry_run=True), table.tasks)
        found |= {run.run_id: run for run in runs_of(options, world)}
    return list(found.values())


def _rows(run: Run) -> list[Row]:
    outcome = Outcome(
        measurements=tuple(_measurements(run)),
        params_delta=30_000,
        params_head=130,
        steps=100,
        train_s=1.0,
        backbone_sha_after=BACKBONE,
        base_logits_equal=None if isinstance(run.method, FineTune | Paint | PaintOnBase | Scratch | Transfer) else True,
    )
    return rows_of(
        run,
        outcome,
        backbone_sha_before=BACKBONE,
        params_backbone=700_000,
        data_sha=run.task,
        transform="none",
        elapsed_s=1.1,
        origin=ORIGIN,
    )


def _measurements(run: Run) -> Iterator[Measurement]:
    """What a run of this kind measures, the earlier steps of a sequence left out."""
    match run:
        case SequenceSpec():
            yield from _along_alphas(run, [f"{run.method.variant},{run.rule}"], members(run.task))
        case RunSpec(method=Paint()):
            plain = run.method.variant
            arms = [plain] if run.architecture.startswith("convnext") else [plain, plain + WITH_BATCH_NORM]
            yield from _along_alphas(run, arms, (run.task,))
        case RunSpec(method=PaintOnBase()):
            yield _on_base(run, BASE_TOP1, phase="before")
            for alpha in ALPHAS:
                yield _measured(run, run.task, alpha=alpha)
                yield _on_base(run, BASE_TOP1 - 80 * alpha**2, alpha=alpha)
                yield _on_base(run, 100 - 90 * alpha**2, alpha=alpha, metric=BASE_AGREEMENT)
        case DomainSpec():
            yield _measured(run, run.target)
            yield _measured(run, run.target, variant=run.method.variant + VALIDATED, selection="val")
            yield _measured(run, run.source)
        case DenseRun():
            yield _measured(run, run.task, metric="mAP" if run.kind == "detection" else "mIoU")
        case RunSpec(method=Scratch()):
            for metric in ("top1", "top5") if run.task in TOP5_TASKS else ("top1",):
                yield from (_measured(run, run.task, split=split, metric=metric) for split in EVAL_SPLITS)
        case RunSpec():
            yield from _of_frozen_net(run)
        case _:  # Table 5
            yield from (_measured(run, run.task, split=split) for split in EVAL_SPLITS)
            yield _measured(run, run.task, selection="oracle")


def _of_frozen_net(run: RunSpec) -> Iterator[Measurement]:
    variants = ["", run.method.variant + MEAN_GATES] if isinstance(run.method, DeltaGates) else [""]
    for variant in variants:
        yield from (_measured(run, run.task, split=split, variant=variant) for split in EVAL_SPLITS)
        if run.base_task:
            yield _on_base(run, BASE_TOP1, variant=variant)
    if run.base_task:
        yield _on_base(run, BASE_TOP1, phase="before")
    if isinstance(run.method, DeltaArm):
        yield _measured(run, run.task, split="val", metric="added_gmac")


def _along_alphas(run: RunSpec | SequenceSpec, arms: list[str], tasks: tuple[str, ...]) -> Iterator[Measurement]:
    yield _on_base(run, BASE_TOP1, phase="before")
    for arm in arms:
        for alpha in ALPHAS:
            for split in EVAL_SPLITS:
                where = {"split": split, "variant": arm, "alpha": alpha}
                yield from (_measured(run, task, **where) for task in tasks)
                yield _on_base(run, BASE_TOP1 - 80 * alpha**2, **where)


def _measured(run: Run, column: str, **where: object) -> Measurement:
    """A value from 40 to 90 that follows from run and place."""
    place = (
        run.suite,
        run.architecture,
        run.method.name,
        run.method.variant,
        run.method.n_delta_modules,
        run.task,
        run.seed,
        column,
        *where.values(),
    )
    value = 40 + zlib.crc32(repr(place).encode()) % 5000 / 100
    return Measurement(**{"column": column, "split": "test", "value": value, "n_examples": 10_000} | where)  # type: ignore[arg-type]


def _on_base(run: RunSpec | SequenceSpec, value: float, **where: object) -> Measurement:
    at = {"column": run.base_task, "split": "test", "value": value, "n_examples": 10_000}
    return Measurement(**at | where)  # type: ignore[arg-type]
