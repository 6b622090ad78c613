"""What the methods of the adapter study cost, as `python -m benchmarks.perf adapters` measured it."""

import json
from pathlib import Path

import pandas as pd

COSTS = {
    "epoch": "epoch_ratio",
    "peak training memory": "memory_ratio",
    "latency at batch 1": "latency_ratio",
    "kept bytes": "kept_bytes",
}
"""What is measured -> column here: ratios to LoRA at its smallest rank, for latency to the base, and bytes."""
COLUMNS = ["architecture", "size", *COSTS.values()]


def read_costs(path: Path) -> pd.DataFrame:
    """One line for each net and method at one size; none if nothing was measured.

    Args:
        path: adapters.csv below the results' folder of costs.

    Returns:
        Columns `COLUMNS`; `size` is that of `size_of`.
    """
    if not path.exists():
        return pd.DataFrame(columns=COLUMNS)
    rows = pd.read_csv(path)
    settings = rows["setting"].map(json.loads)
    rows = rows.assign(
        architecture=settings.map(lambda setting: setting["architecture"]),
        size=settings.map(lambda setting: _text(setting["method"])),
        cost=rows["name"].str.partition(" of ")[0].map(COSTS),
    ).dropna(subset="cost")
    rows["shown"] = rows["ours"].where(rows["cost"] == "kept_bytes", rows["ratio"])
    wide = rows.pivot(index=["architecture", "size"], columns="cost", values="shown")
    return wide.rename_axis(columns=None).reset_index().reindex(columns=COLUMNS)


def size_of(config: str) -> str:
    """What a run's method costs depends on: all of its config but the recipe."""
    return _text({name: value for name, value in json.loads(config)["method"].items() if name != "recipe"})


def _text(size: object) -> str:
    return json.dumps(size, sort_keys=True)
