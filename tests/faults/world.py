"""A tiny world, made once: finished grids, their cache, another machine's rows, images and patches. Trials get copies.

cache/                drawn data of noise, a pre-trained slim net, stored features, adaptation starts
results/embedded/     seven runs of Table 2 and two of Table 6, collected, with gates
other/embedded/       records of another machine
merged/results/       results with them
tool/                 image folders, a net in a file, a patch `kept`
reference/            the patch that a fit over `kept` must become
"""

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from importlib import import_module
from pathlib import Path

import pytest
import timm
import torch
from drawn_tasks import draw_noise
from fake_rows import plain_run
from forked import TRACE, Action, Ended, run
from patch_tool_world import ARCH, write_classes

from benchmarks.records.collected import read_rows
from benchmarks.records.gates import GateRow, write_gates
from benchmarks.records.record_files import write_record
from delta_core.training.lock import locked
from tests.faults.commands import bench, delta_patch
from tests.faults.rows import Rows, rows_below

GRID = ("table2", "--arch", "resnet18", "--task", "optdigits", "--epochs", 1)
"""Seven runs with the methods below, of some tenths of a second each."""
METHODS = ("--method", "delta_networks", "--method", "fc_only")
STARTS = ("table6", "--steps", 1, "--task", "mnist5k->optdigits", "--method", "vanilla", "--method", "adda")
PLACES = ("--results", "results", "--cache", "cache")
OTHERS = ("other0", "other1", "other2")
"""Runs of another machine."""


def grid_words(*methods: str, workers: int = 2) -> tuple[object, ...]:
    """`run` of the seven runs, or of those of some methods."""
    return "run", *GRID, *(methods or METHODS), *PLACES, "--workers", workers


def fit_words(out: str, *more: object, seed: int = 0) -> tuple[object, ...]:
    """`delta-patch fit` on the world's images."""
    shape = ("--arch", "resnet10t", "--weights", "tool/net.pt", "--modules", 1, "--image-size", 64)
    return "fit", "tool/pets", "-o", out, *shape, "--epochs", 2, "--seed", seed, "--device", "cpu", *more


@dataclass(frozen=True)
class World:
    """Where it lies; what belongs to what."""

    root: Path

    @cached_property
    def rows(self) -> Rows:
        """All rows and gates of the undisturbed results."""
        return rows_below(self.root / "results" / "embedded")[0]

    @cached_property
    def merged_rows(self) -> Rows:
        """Those, and the rows of the other machine."""
        return rows_below(self.root / "merged" / "results" / "embedded")[0]

    @cached_property
    def run_ids(self) -> dict[str, list[str]]:
        """Run ids by suite: `patching`, `base`, `domain_adaptation`."""
        by_suite = read_rows(self.root / "results" / "embedded").groupby("suite")["run_id"]
        return {str(suite): sorted(set(run_ids)) for suite, run_ids in by_suite}

    @cached_property
    def head_alone(self) -> str:
        """Id of the run of method fc_only."""
        rows = read_rows(self.root / "results" / "embedded")
        (run_id,) = set(rows.loc[rows["method"] == "fc_only", "run_id"])
        return str(run_id)

    def copy(self, folder: Path, *parts: str) -> None:
        """Copies of parts of it, e.g. "cache" or "tool/pets", below the folder of a trial."""
        for part in parts:
            (folder / part).parent.mkdir(parents=True, exist_ok=True)
            if (self.root / part).is_dir():
                shutil.copytree(self.root / part, folder / part, dirs_exist_ok=True)
            else:
                shutil.copy(self.root / part, folder / part)

    def remembered(self, name: str, measure: Callable[[], dict[str, float]]) -> dict[str, float]:
        """What was measured of the undisturbed world, once for all trials."""
        path = self.root / "measured" / f"{name}.json"
        with locked(path.with_suffix(".lock")):
            if not path.exists():
                path.write_text(json.dumps(measure()))
            return dict(json.loads(path.read_text()))


def open_world(root: Path) -> World:
    """The world below `root`, made if it is not there, with every module imported that its commands need.

    From here on this process and its children draw noise where drawn data is missing from a cache.
    """
    draw_noise(pytest.MonkeyPatch(), glyphs62=62, optdigits=10, mnist5k=10, signs=5, photos=4)
    with locked(root.with_name(f"{root.name}.lock")):
        if not (root / "modules.json").exists():
            shutil.rmtree(root, ignore_errors=True)
            root.mkdir(parents=True)
            _make(World(root))
    for name in json.loads((root / "modules.json").read_text()):
        if name != "__main__" and name not in sys.modules:
            try:
                import_module(name)
            except Exception:  # noqa: BLE001 - it makes trials fast, and nothing else
                continue
    return World(root)


def _make(world: World) -> None:
    root, modules = world.root, world.root / "imported"
    modules.mkdir()

    def do(action: Action) -> Ended:
        def noting_modules() -> None:
            try:
                action()
            finally:
                (modules / f"{len(list(modules.iterdir()))}.json").write_text(json.dumps(list(sys.modules)))

        ended = run(noting_modules, root, limit_s=600)
        if ended.code or TRACE in ended.out + ended.err:
            raise RuntimeError(f"The undisturbed world does not come about: {ended.out}{ended.err}")
        return ended

    do(lambda: _draw(root))
    do(bench(*grid_words()))
    do(bench("run", *STARTS, *PLACES, "--workers", 2))
    do(bench("collect", "--scale", "embedded", "--results", "results"))
    do(lambda: _add_gates_and_others(world))
    do(bench("collect", "--scale", "embedded", "--results", "results"))
    world.copy(root / "merged", "results")
    do(bench("collect", "other/embedded", "--scale", "embedded", "--results", "merged/results"))
    do(delta_patch(*fit_words("tool/kept")))
    do(delta_patch(*fit_words("reference", seed=1)))
    do(delta_patch("eval", "tool/kept", "tool/pets", "--weights", "tool/net.pt"))
    names = {name for file in modules.iterdir() for name in json.loads(file.read_text())}
    shutil.rmtree(root.with_name(f"{root.name}.streams"))
    (root / "modules.json").write_text(json.dumps(sorted(names)))


def _draw(root: Path) -> None:
    write_classes(root / "tool" / "pets" / "train", 8)
    write_classes(root / "tool" / "pets" / "test", 4, first=8)
    torch.manual_seed(3)
    torch.save(timm.create_model(ARCH).state_dict(), root / "tool" / "net.pt")


def _add_gates_and_others(world: World) -> None:
    gate = GateRow(
        run_id="", scale="embedded", architecture="resnet18", task="optdigits", variant="maps", seed=0, block=1,
        source=0, target=1, existing=True, sample=None, label=None, value=0.5, sd=0.1, n_examples=9,
    )  # fmt: skip
    for run_id in world.run_ids["patching"][:4]:
        gates = [replace(gate, run_id=run_id, target=target, value=0.1 * target) for target in (1, 2, 3)]
        write_gates(world.root / "results" / "embedded", gates)
    for seed, run_id in enumerate(OTHERS):
        rows = [replace(row, run_id=run_id) for row in plain_run(patch=60.0 + seed, seed=seed, task="signs")]
        write_record(world.root / "other" / "embedded", rows)
