"""Hours, memory and origin of the runs behind a report."""

import json

import pandas as pd

from reports.pages.page import PageBlock, plain_block


def cost_blocks(rows: pd.DataFrame) -> list[PageBlock]:
    """Runs, hours, memory and parameters by suite, net and method; a run counts once, whatever it measured."""
    runs = rows.drop_duplicates("run_id")
    return [_cost(runs, by, f"by {by}") for by in ("suite", "architecture", "method")]


def provenance_blocks(rows: pd.DataFrame) -> list[PageBlock]:
    """Commits, versions and devices, with the runs each stands for."""
    runs = rows.drop_duplicates("run_id")
    commits = runs["git_sha"].str[:12] + runs["git_dirty"].map({True: " (changed files)", False: ""})
    packages = [f"{name} {version}" for text in runs["versions"] for name, version in json.loads(text).items()]
    days = runs["measured_at"].str[:10]
    found = {"commit": commits, "device": runs["device"], "day (UTC)": days, "package": pd.Series(packages, dtype=str)}
    return [_counted(values, name) for name, values in found.items()]


def _cost(runs: pd.DataFrame, by: str, title: str) -> PageBlock:
    hours = (runs["train_s"] + runs["eval_s"]) / 3600
    params = runs["params_delta_full_size"].fillna(runs["params_delta"]) / 1e6
    runs = runs.assign(hours=hours, train_h=runs["train_s"] / 3600, params=params)
    table = runs.groupby(by, sort=False).agg(
        runs=("run_id", "count"),
        hours=("hours", "sum"),
        training=("train_h", "sum"),
        peak=("peak_mem_mb", "max"),
        fewest=("params", "min"),
        most=("params", "max"),
    )
    cells = pd.DataFrame(
        {
            by: table.index.astype(str),
            "runs": table["runs"].astype(str).to_numpy(),
            "hours": table["hours"].map("{:.2f}".format).to_numpy(),
            "of these training": table["training"].map("{:.2f}".format).to_numpy(),
            "peak memory MiB": table["peak"].map("{:.0f}".format).to_numpy(),
            "trained M, full size": [_range(*ends) for ends in zip(table["fewest"], table["most"], strict=True)],
        }
    )
    return plain_block(title, cells)


def _range(fewest: float, most: float) -> str:
    return f"{fewest:.2f}" if fewest == most else f"{fewest:.2f} to {most:.2f}"


def _counted(values: pd.Series, name: str) -> PageBlock:
    counts = values.value_counts(sort=False)
    return plain_block(name, pd.DataFrame({name: counts.index.astype(str), "runs": counts.astype(str).to_numpy()}))
