"""Rows that reports show: what was measured twice, without base data and later with them, stands once."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.records.collected import read_rows

OF_THE_BASE = ("base_task", "base_data", "base_transform")
"""What the configurations of a run with and without base data differ in."""


def read_measured(results: Path) -> pd.DataFrame:
    """Rows below `results` (the folder of one scale), without those that `without_superseded` leaves out.

    Raises:
        UserError: as `read_rows` does.
    """
    return without_superseded(read_rows(results))


def without_superseded(rows: pd.DataFrame) -> pd.DataFrame:
    """Leave out runs without base data whose like was measured with them: the latter say all that the former do.

    Both stay on record. Which base data the other has does not matter here; tables refuse to mix two of them.
    """
    runs = rows.drop_duplicates("run_id")
    configs = {run_id: json.loads(config) for run_id, config in zip(runs["run_id"], runs["config"], strict=True)}
    has_base = {run_id: bool(config["base_task"]) for run_id, config in configs.items() if "base_task" in config}
    rest = {run_id: _but_for_the_base(configs[run_id]) for run_id in has_base}
    better = {rest[run_id] for run_id, based in has_base.items() if based}
    superseded = [run_id for run_id, based in has_base.items() if not based and rest[run_id] in better]
    return rows[~rows["run_id"].isin(superseded)].reset_index(drop=True)


def _but_for_the_base(config: dict[str, Any]) -> str:
    return json.dumps({name: value for name, value in config.items() if name not in OF_THE_BASE}, sort_keys=True)
