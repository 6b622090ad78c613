"""Recorded rows keep their identity: whatever moves or is renamed, today's tables describe every committed run."""

from pathlib import Path

import pytest

from benchmarks.grid.reproduce import SelfContained, known_runs
from benchmarks.records.collected import read_rows

RESULTS = Path(__file__).parents[2] / "results"


@pytest.mark.parametrize(("scale", "runs"), [("embedded", 1900), ("real", 150)])
def test_every_recorded_run_is_described_by_todays_tables(scale: SelfContained, runs: int, tmp_path: Path) -> None:
    recorded = read_rows(RESULTS / scale)
    recorded = recorded[recorded["suite"] != "base"]  # checkpoints are named by a spec that runs only point to
    seeds = int(recorded["seed"].max()) + 1 if len(recorded) else 1
    described = known_runs(RESULTS, tmp_path, scale=scale, seeds=seeds)
    forgotten = recorded[~recorded["run_id"].isin(described)]
    assert forgotten.empty, forgotten.groupby(["suite", "method"])["run_id"].nunique()
    assert recorded["run_id"].nunique() >= runs, "a test over few rows would guard little"
    weights = {run.weights for _, run in described.values()}
    assert set(recorded["weights"]) <= weights, "bases that rows stand on are those that runs name today"


def test_no_net_on_record_has_two_bases() -> None:
    """What is added was measured on the same kind of CPU: others pre-train another base from the same seed."""
    recorded = read_rows(RESULTS / "embedded")
    bases = (
        recorded[recorded["weights"].str.startswith("pretrain:")].groupby("weights")["backbone_sha_before"].nunique()
    )
    assert len(bases) >= 6 and set(bases) == {1}, bases


def test_rows_of_another_kind_of_cpu_are_runs_of_the_tables() -> None:
    of_tables = set(read_rows(RESULTS / "embedded")["run_id"])
    folders = [path.parent for path in (RESULTS / "embedded").glob("*/runs.csv")]
    assert [folder.name for folder in folders] == ["avx2"]
    for folder in folders:
        assert set(read_rows(folder)["run_id"]) <= of_tables
