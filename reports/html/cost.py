"""Hours, memory and origin of the runs behind a report."""

import json

import pandas as pd

from reports.layout import Block


def cost_blocks(rows: pd.DataFrame) -> list[Block]:
    """Runs, hours and peak memory by suite and by method; a run counts once, whatever it measured."""
    runs = rows.drop_duplicates("run_id")
    return [_cost(runs, by, f"by {by}") for by in ("suite", "architecture", "method")]


def provenance_blocks(rows: pd.DataFrame) -> list[Block]:
    """Commits, versions and devices, with the runs each stands for."""
    runs = rows.drop_duplicates("run_id")
    commits = runs["git_sha"].str[:12] + runs["git_dirty"].map({True: " (changed files)", False: ""})
    packages = [f"{name} {version}" for text in runs["versions"] for name, version in json.loads(text).items()]
    days = runs["measured_at"].str[:10]
    found = {"commit": commits, "device": runs["device"], "day (UTC)": days, "package": pd.Series(packages, dtype=str)}
    return [_counted(values, name) for name, values in found.items()]


def _cost(runs: pd.DataFrame, by: str, title: str) -> Block:
    hours = (runs["train_s"] + runs["eval_s"]) / 3600
    grouped = runs.assign(hours=hours, train_h=runs["train_s"] / 3600).groupby(by, sort=False)
    table = grouped.agg(
        runs=("run_id", "count"), hours=("hours", "sum"), training=("train_h", "sum"), peak=("peak_mem_mb", "max")
    )
    cells = pd.DataFrame(
        {
            by: table.index.astype(str),
            "runs": table["runs"].astype(str).to_numpy(),
            "hours": table["hours"].map("{:.2f}".format).to_numpy(),
            "of these training": table["training"].map("{:.2f}".format).to_numpy(),
            "peak memory MiB": table["peak"].map("{:.0f}".format).to_numpy(),
        }
    )
    return _plain(title, cells)


def _counted(values: pd.Series, name: str) -> Block:
    counts = values.value_counts(sort=False)
    return _plain(name, pd.DataFrame({name: counts.index.astype(str), "runs": counts.astype(str).to_numpy()}))


def _plain(title: str, cells: pd.DataFrame) -> Block:
    return Block(title=title, cells=cells, best=pd.DataFrame(False, index=cells.index, columns=cells.columns))
