"""Where TensorBoard finds the runs of a table: a folder each below `--log-dir`, named so that they are told apart."""

import re
from collections.abc import Iterable
from pathlib import Path

from benchmarks.env import Env
from benchmarks.records.rows import Row
from benchmarks.spec import Run
from delta_core.training.tensorboard_log import TensorBoardLog, add_scalars


def callbacks_of(run: Run, env: Env) -> list[TensorBoardLog]:
    """What logs the trainings of a run; nothing without `--log-dir`, nor in any but the first of its processes."""
    is_first = env.rank is None or env.rank.number == 0
    return [TensorBoardLog(log_folder(run, env.log_dir))] if env.log_dir is not None and is_first else []


def log_rows(run: Run, env: Env, rows: Iterable[Row]) -> None:
    """Log what a run measured, at its last step: `test/top1/flowers` and the like."""
    if env.log_dir is not None:
        measured = [row for row in rows if row.phase == "after"]
        steps = measured[0].steps
        add_scalars(log_folder(run, env.log_dir), {_tag(row, run): row.value for row in measured}, steps)


def log_folder(run: Run, log_dir: Path) -> Path:
    """NET/TASK/METHOD-ARM-MODULES-seedS-RUN_ID below a folder."""
    method = run.method
    modules = str(method.n_delta_modules or "")
    arm = "-".join(filter(None, (method.name, method.variant, modules, f"seed{run.seed}", run.run_id)))
    return log_dir.joinpath(*(re.sub(r"[^\w.,=+-]+", "_", name) for name in (run.architecture, run.task, arm)))


def _tag(row: Row, run: Run) -> str:
    """What tells a value from the others of its run."""
    variant = "" if row.variant == run.method.variant else row.variant
    alpha = "" if row.alpha is None else f"alpha={row.alpha:g}"
    selection = "" if row.selection == "last" else row.selection
    return "/".join(filter(None, (row.split, row.metric, row.column, variant, alpha, selection)))
