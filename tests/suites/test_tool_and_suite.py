"""The command line and scale local are one engine: same images, method and seed, same patch."""

from pathlib import Path

import pytest
import torch
from patch_tool_world import ARCH, SIZE, call, fit_words, make_world
from safetensors.torch import load_file

from benchmarks.env import Env
from benchmarks.methods.delta import DeltaNetworks
from benchmarks.records.names import LITERAL, MAPS
from benchmarks.suites.patching.runner import execute
from benchmarks.suites.patching.spec import RunSpec
from benchmarks.worlds.recipes import local_recipes
from delta_core import read_patch
from delta_core.model import Suffix
from delta_core.tool.options import FitOptions
from delta_core.training import patch
from delta_core.training.data.folders import folder_identity
from delta_core.training.engine import train_module
from delta_core.training.identity import weights_identity


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.mark.parametrize("views", [1, 2])
def test_fit_is_the_benchmarks_own_run(views: int, world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Same images, method and seed: the command line trains the runner's patch bit for bit."""
    assert call(monkeypatch, *fit_words(world, f"own{views}", views=views)) == 0
    trained: dict[str, torch.Tensor] = {}

    def spy(suffix: Suffix, *rest: object, **more: object) -> int:
        steps = train_module(suffix, *rest, **more)  # type: ignore[arg-type]
        trained.update(suffix.model.patches[suffix.patch].state_dict())
        return steps

    monkeypatch.setattr(patch, "train_module", spy)
    options = FitOptions(folder=world, out=world, arch=ARCH, modules=1, epochs=2, views=views)
    assert options.config() is not None
    spec = RunSpec(
        scale="local",
        architecture=ARCH,
        weights=weights_identity(world / "net.pt"),
        task="pets",
        data=folder_identity(world / "pets"),
        base_task="",
        base_data="",
        method=DeltaNetworks(recipe=options.recipe(), config=options.config(), reading=MAPS),
        image_size=SIZE,
        seed=0,
    )
    env = Env(results=world, cache=world, folders={"pets": world / "pets"}, weights_file=world / "net.pt")
    values = {row.split: row.value for row in execute(spec, env) if row.column == "pets"}
    saved = load_file(world / f"own{views}" / "patch.safetensors")
    assert saved.keys() == trained.keys()
    assert [name for name in saved if not torch.equal(saved[name], trained[name])] == []
    assert read_patch(world / f"own{views}").metrics == {"test_top1": values["test"], "val_top1": values["val"]}


@pytest.mark.parametrize(("modules", "paper", "reading"), [(0, False, None), (2, False, MAPS), (2, True, LITERAL)])
def test_defaults_are_the_recipes_of_scale_local(modules: int, paper: bool, reading: str | None) -> None:
    options = FitOptions(folder=Path(), out=Path(), arch=ARCH, modules=modules, paper=paper)
    recipes = local_recipes()
    assert options.recipe() == (recipes.delta[reading] if reading else recipes.head)
    config = options.config()
    assert (config.n_modules if config else 0) == modules
    changed = FitOptions(folder=Path(), out=Path(), arch=ARCH, modules=modules, lr=0.5, batch_size=7, epochs=4).recipe()
    assert (changed.lr, changed.head_lr, changed.batch_size, changed.epochs) == (
        0.5,
        0.5,
        7,
        4,
    )
