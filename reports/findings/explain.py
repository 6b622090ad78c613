"""Where the number in a cell comes from: its runs, how they differ from the paper's protocol, how to repeat them."""

import json
import shlex
from dataclasses import dataclass
from typing import Any

import pandas as pd

from benchmarks.records.names import MEAN_GATES, VALIDATED, WITH_BATCH_NORM
from benchmarks.records.rows import SCRATCH, Scale
from delta_core.training.errors import UserError
from reports.pages.commands import task_argument
from reports.protocol import PROTOCOLS, departures

CELL_KEYS = ("architecture", "method", "n_delta_modules", "variant", "task")
"""Columns by which lines of a tidy frame point at the rows behind them; a frame may lack some."""

OTHERWISE = {"measured_on": "task", "measured_as": "variant"}
"""Columns of frames whose lines are named otherwise than their rows: the rows' tasks, joined by `;`, and variant."""

BESIDE = (WITH_BATCH_NORM, ",harmonic_mean", ",mean", VALIDATED, MEAN_GATES)
"""Ends of a variant that a run measures beside its own arm; a command line names the arm alone."""


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """Everything behind one cell."""

    cell: pd.DataFrame
    """Lines of the tidy frame that make up the cell."""
    runs: pd.DataFrame
    """One line per run: id, seed, weights, commit, device, date, seconds."""
    departures: pd.DataFrame
    """Settings that differ from the paper's: `setting`, `ours`, `paper`."""
    knows_protocol: bool
    """Whether the paper's protocol of these runs is on record."""
    command: str


def explain(frame: pd.DataFrame, rows: pd.DataFrame, table: str, scale: Scale, row: str, column: str) -> Explanation:
    """Find a cell by its row (`row_id` of the tidy frame, e.g. `resnet18/delta4/default`) and its column (a task).

    Args:
        frame: tidy frame of the report.
        rows: rows that the report was made of.
        table: name of the report.
        scale: scale of the rows.
        row: row of the cell.
        column: column of the cell.

    Raises:
        UserError: if there is no such cell, or nothing was measured for it.
    """
    _known("row", row, frame["row_id"])
    _known("column", column, frame.loc[frame["row_id"] == row, "task"])
    cell = frame[(frame["row_id"] == row) & (frame["task"] == column)]
    behind = rows_behind(cell, rows)
    if behind.empty:
        raise UserError(
            f"Nothing was measured for {row} / {column}; measure it: {_command(table, scale, cell, column)}"
        )
    runs = behind.drop_duplicates("run_id")
    suite = runs["suite"].iloc[0]
    return Explanation(
        cell=cell,
        runs=pd.DataFrame(
            {
                "run": runs["run_id"],
                "seed": runs["seed"],
                "weights": runs["weights"],
                "commit": runs["git_sha"].str[:12] + runs["git_dirty"].map({True: "+", False: ""}),
                "device": runs["device"],
                "measured (UTC)": runs["measured_at"],
                "seconds": runs["train_s"] + runs["eval_s"],
            }
        ),
        departures=departures(suite, runs["config"].iloc[0]),
        knows_protocol=suite in PROTOCOLS,
        command=_command(table, scale, runs, column),
    )


def _known(kind: str, name: str, there: "pd.Series[str]") -> None:
    if name not in set(there):
        raise UserError(f"There is no {kind} {name!r}; choose one of {', '.join(dict.fromkeys(there))}.")


def rows_behind(cell: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """Rows that some lines of a tidy frame were made of.

    Args:
        cell: the lines.
        rows: rows that the frame was made of.
    """
    for column, name in OTHERWISE.items():
        if column in cell:
            cell = cell.assign(**{name: cell[column].str.split(";")}).explode(name)
    keys = [key for key in CELL_KEYS if key in cell]
    lines = cell[keys].drop_duplicates()
    behind = rows.merge(lines, on=keys)
    # Full fine-tuning is PAINT at alpha = 1 where it was not run by itself.
    return rows.merge(lines.replace({"method": {"finetune": "paint"}}), on=keys) if behind.empty else behind


def _command(table: str, scale: Scale, lines: pd.DataFrame, column: str) -> str:
    """Command that measures the cell again; results go elsewhere, for what is measured is never overwritten."""
    first = lines.iloc[0]
    arm = first["variant"] if "variant" in lines else ""
    for end in BESIDE:
        arm = arm.removesuffix(end)
    words = ["nox", "-s", table, "--", "--scale", scale, "--arch", first["architecture"]]
    if table != "ablation":  # its columns are means over all tasks
        words += ["--task", task_argument(column, scale)]
    words += ["--method", f"{first['method']}:{arm}" if arm else first["method"]]
    seeds = ["--seeds", str(lines["seed"].max() + 1)] if "seed" in lines else []
    weights = ["--weights", "WEIGHTS"] if scale == "local" and first.get("weights") != SCRATCH else []
    own = [*weights, "--data-root", "DATA"] if scale == "local" else []
    if scale == "paper":
        own = _said_of_the_base(json.loads(first["config"]), first["weights"])
    return shlex.join([*words, *seeds, *own, "--results", "elsewhere"])


def _said_of_the_base(config: dict[str, Any], weights: str) -> list[str]:
    """Options of scale paper with which a run's base was left out, or accepted."""
    if config.get("base_task") == "" and weights != SCRATCH:
        return ["--without-base"]
    accepted = config.get("base_transform")
    return ["--accept-base", f"{weights.removeprefix('timm:')}={accepted}"] if accepted else []
