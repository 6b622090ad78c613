"""The two scripts of docs/examples on a Slurm of two nodes with one core each, on this machine."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from grid_world import COMPARED, LIMIT_S, ONE_CELL, ROOT, TWO_RUNS, bench, wait_for, write_one_cell
from ray_nodes import ENVIRONMENT
from slurm import Slurm, missing

from benchmarks.records.collected import read_rows

pytestmark = pytest.mark.skipif(
    bool(missing()), reason=f"no Slurm here: {', '.join(missing())}; Debian: apt install slurmctld slurmd munge"
)
EXAMPLES = ROOT / "docs" / "examples"


@pytest.fixture
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    started = Slurm(tmp_path_factory.mktemp("slurm"), nodes=2)
    try:
        yield started
    finally:
        started.end()


@pytest.fixture
def alone(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """Rows of one machine."""
    place = tmp_path_factory.mktemp("alone")
    write_one_cell(place / "cache")
    done = bench("run", *TWO_RUNS, "--workers", 1, "--results", place / "results", "--cache", place / "cache")
    assert done.returncode == 0, done.stderr
    return read_rows(place / "results" / "embedded")[COMPARED]


def logs(folder: Path) -> str:
    return "\n".join(path.read_text(errors="replace")[-3000:] for path in folder.glob("*.log"))


def test_an_array_of_shares_measures_what_one_machine_does(slurm: Slurm, alone: pd.DataFrame, tmp_path: Path) -> None:
    write_one_cell(tmp_path / ".cache")
    arguments = (str(EXAMPLES / "slurm_shares.sh"), *TWO_RUNS, "--workers", "1")
    job = slurm.submit("--array=1-2", *arguments, cwd=tmp_path, **ENVIRONMENT)
    assert slurm.wait(job, LIMIT_S) == {"COMPLETED"}, logs(tmp_path)
    shares = [tmp_path / f"share-{number}" / "embedded" for number in (1, 2)]
    assert all(len(read_rows(share)) < len(alone) for share in shares)
    joined = bench("collect", *shares, "--scale", "embedded", "--results", tmp_path / "all")
    assert joined.returncode == 0, joined.stderr
    assert read_rows(tmp_path / "all" / "embedded")[COMPARED].equals(alone)


def test_ray_on_an_allocation_measures_what_one_machine_does(slurm: Slurm, alone: pd.DataFrame, tmp_path: Path) -> None:
    write_one_cell(tmp_path / ".cache")
    job = slurm.submit("--nodes=2", str(EXAMPLES / "slurm_ray.sh"), *TWO_RUNS, cwd=tmp_path, **ENVIRONMENT)
    assert slurm.wait(job, LIMIT_S) == {"COMPLETED"}, logs(tmp_path)
    # The second node may be there too late to get any of so few runs.
    assert 1 <= logs(tmp_path).count(" works, 1 at a time") <= 2
    assert read_rows(tmp_path / "results" / "embedded")[COMPARED].equals(alone)


def test_a_job_that_is_queued_anew_goes_on_in_the_middle_of_its_run(slurm: Slurm, tmp_path: Path) -> None:
    cell = (*ONE_CELL[:-1], "400", "--method", "norm_tuning", "--workers", "1")
    for name in ("cut", "whole"):
        write_one_cell(tmp_path / name / ".cache")
    arguments = (str(EXAMPLES / "slurm_shares.sh"), *cell, "--checkpoint-every-s", "0")
    job = slurm.submit("--array=1-1", *arguments, cwd=tmp_path / "cut", **ENVIRONMENT)
    unfinished = tmp_path / "cut" / ".cache" / "unfinished"
    assert wait_for(lambda: list(unfinished.glob("*/training.pt")), LIMIT_S), logs(tmp_path / "cut")
    slurm.call("scontrol", "requeue", f"{job}_1")
    assert wait_for(lambda: set(slurm.states(job).values()) == {"PENDING"}, LIMIT_S)
    assert list(unfinished.glob("*/training.pt")), "the state of the step that was under way"
    slurm.call("scontrol", "update", f"JobId={job}_1", "StartTime=now")  # Slurm would wait for two minutes
    assert slurm.wait(job, LIMIT_S) == {"COMPLETED"}, logs(tmp_path / "cut")
    assert "interrupted; finished runs are kept, start again to go on." in logs(tmp_path / "cut")
    place = tmp_path / "whole"
    done = bench("run", *cell, "--results", place / "results", "--cache", place / ".cache")
    assert done.returncode == 0, done.stderr
    whole, cut = (read_rows(at / "embedded")[COMPARED] for at in (place / "results", tmp_path / "cut" / "share-1"))
    assert whole.equals(cut)
