"""What `plan` says of the store at paper scale is what runs then keep in it."""

from pathlib import Path

import pytest
from lookalikes import write

from benchmarks.data import load
from benchmarks.data.catalogue import CATALOGUE, entry
from benchmarks.data.catalogue.held_out import as_text
from benchmarks.data.load import load_base_task, load_task
from benchmarks.env import Env
from benchmarks.grid import storage
from benchmarks.grid.storage import check_room, storage_of
from benchmarks.methods.delta import DeltaNetworks
from benchmarks.methods.fc_only import FcOnly
from benchmarks.methods.finetune import FineTune
from benchmarks.suites.patching.spec import RunSpec
from benchmarks.tables import runs_of, table_of
from benchmarks.worlds.options import Options
from delta_core import DeltaConfig
from delta_core.training.errors import UserError
from delta_core.training.recipe import Recipe
from delta_core.weights import Preprocessing

RECIPE = Recipe(views=0)
SIZE = 224


def spec(task: str = "flowers", *, recipe: Recipe = RECIPE, **changes: object) -> RunSpec:
    fields = {"architecture": "resnet18", "base_task": "", "method": FcOnly(recipe=recipe), "seed": 0} | changes
    return RunSpec(
        scale="paper", weights="timm:resnet18.tv_in1k", task=task, data="", base_data="", image_size=SIZE, **fields
    )  # type: ignore[arg-type]


@pytest.fixture
def small_catalogue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Look-alikes of three data sets in place of the catalogue; returns their root."""
    root = tmp_path / "data"
    (tmp_path / "lists").mkdir()
    found = {name: write(name, root) for name in ("flowers", "cars", "imagenet")}
    for name, each in found.items():
        (tmp_path / "lists" / f"{name}.txt").write_text(as_text(name, each.counts[each.train]))
    monkeypatch.setattr(entry, "LISTS", tmp_path / "lists")
    monkeypatch.setattr(load, "CATALOGUE", found)
    monkeypatch.setattr(storage, "CATALOGUE", found)
    load._official.cache_clear()
    load._joint.cache_clear()
    return root


@pytest.mark.parametrize("views", [0, 1, 3])
@pytest.mark.parametrize("task", ["flowers", "cars+flowers"])
def test_planned_bytes_of_images_are_those_that_are_kept(
    views: int, task: str, small_catalogue: Path, tmp_path: Path
) -> None:
    env = Env(results=tmp_path, cache=tmp_path / "cache", data_root=small_catalogue)
    view = Preprocessing(image_size=SIZE, crop_pct=1.0, interpolation="bicubic", mean=(0.5,) * 3, std=(0.2,) * 3)
    load_task(task, env, view, views=views)
    load_base_task("imagenet", env, view, classes=1000)
    kept = sum(file.stat().st_size for file in (env.cache / "features").rglob("features.bin"))
    run = spec(task, base_task="imagenet", method=FineTune(recipe=Recipe(views=views)))
    assert storage_of([run, run]).images == kept
    assert storage_of([run]).features == 0


def test_features_are_those_behind_the_frozen_part() -> None:
    """ResNet-18 at 224 px: 512 pooled values for the head, 64 x 56 x 56 in front of the first of four blocks."""
    fixed = Recipe(views=2, feature_dtype="float16")
    images = 1020 * 2 + 1020 + 6149
    head = storage_of([spec(recipe=fixed), spec(recipe=fixed, seed=1)])
    assert head.features == images * 512 * 2
    delta = DeltaNetworks(recipe=fixed, config=DeltaConfig(n_modules=4), reading="maps")
    both = storage_of([spec(recipe=fixed), spec(method=delta)])
    assert both.features == images * (512 + 64 * 56 * 56) * 2
    assert storage_of([spec(method=DeltaNetworks(recipe=RECIPE, config=delta.config, reading="maps"))]).features == 0


def test_tables_share_what_looks_alike() -> None:
    one, other = spec("cars", base_task="imagenet"), spec("flowers", base_task="imagenet")
    separately = storage_of([one]).images + storage_of([other]).images
    base = 55_000 * 3 * SIZE**2
    assert storage_of([one, other]).images == separately - base


def test_every_table_of_the_paper_has_its_bytes() -> None:
    """By hand: 224 px, six tasks of Table 2 and ImageNet's test and held-out images."""
    options = Options(table="table2", scale="paper")
    table = table_of("table2")
    runs = runs_of(options, table.open_world(options, table.tasks))
    evaluated = (1020 + 6149) + (3333 + 3333) + (814 + 8041) + (500 + 8000) + (6300 + 6300) + (2664 + 12630)
    base = CATALOGUE[runs[0].base_task]  # type: ignore[attr-defined]
    evaluated += base.counts[base.test] + (0 if base.test == base.train else 5000)
    assert storage_of(runs).images == evaluated * 3 * 224**2
    assert str(storage_of(runs)) == f"{evaluated * 3 * 224**2 / 1e9:.1f} GB of decoded images"


def test_a_store_that_cannot_hold_a_table_is_refused_before_a_run() -> None:
    runs = [spec("cars"), spec("flowers")]
    gb = storage_of(runs).total_gb
    check_room(runs, gb + 0.01)
    check_room(runs, 0)
    with pytest.raises(UserError, match=r"^--cache-gb is 2, but these runs keep 2.4 GB of decoded images; give 3, "):
        check_room(runs, 2)
