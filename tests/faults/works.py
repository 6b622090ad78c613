"""Works that can be disturbed at any moment and are then done again: what each needs, does, and must have come to."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from fake_rows import plain_run
from forked import Action, Ended, run
from patch_folders import trained
from tiny import basic_block_net
from torch import Tensor

from benchmarks.records.record_files import write_record
from delta_core import DeltaConfig, save_patch
from delta_core.training.tensor_store import TensorStore
from tests.faults.commands import bench, delta_patch, troubles
from tests.faults.rows import Rows, compare, of_runs
from tests.faults.verdict import Verdict, seen_together
from tests.faults.world import World, fit_words, grid_words

NOTES = "what I wrote myself\n"
"""A file of the user's in an older patch folder."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """A command, or a writer of the library, that is bound to be whole or not there."""

    name: str
    prepare: Callable[[World, Path], None]
    """Lay out the folder of a trial."""
    action: Action
    """In that folder."""
    judge: Callable[[World, Path], Verdict]
    """Whether what it must have come to is there."""
    may_say: str = ""
    """Why it may refuse, with exit code 2, to do again what is done already."""

    def done_again(self, world: World, folder: Path) -> Verdict:
        """The same work without a fault, after one: it comes to what it would have come to."""
        ended = run(self.action, folder)
        refused = bool(ended.code) and not (ended.code == 2 and self.may_say and self.may_say in ended.err)
        said = (ended.err or ended.out).strip().splitlines()[-1:] or [""]
        again = Verdict(
            lost=int(refused), notes=(f"done again: code {ended.code}, {said[0][:200]}",) if refused else ()
        )
        return seen_together([troubles(ended), again, self.judge(world, folder)])

    def kept_its_promise(self, world: World, folder: Path, ended: Ended) -> Verdict:
        """Exit code 0 under a fault promises that everything is there."""
        if ended.code:
            return Verdict()
        found = self.judge(world, folder)
        if found.clean:
            return found
        return replace(found, lost=0, silent=1, notes=("exit code 0, but " + "; ".join(found.notes),))


def extent(
    world: World, work: Work, folder: Path, measure: Callable[[Path], dict[str, float]], what: str = "seconds"
) -> dict[str, float]:
    """What is measured of the undisturbed work, once for all its trials."""

    def undisturbed() -> dict[str, float]:
        work.prepare(world, folder / "undisturbed")
        return measure(folder / "undisturbed")

    return world.remembered(f"{what}-of-{work.name.replace(' ', '-')}", undisturbed)


# --- results ---------------------------------------------------------------------------------------------------------


def _records(world: World, folder: Path, *suites: str) -> None:
    """Copies of what is on record of some suites, not collected."""
    for suite in suites:
        for run_id in world.run_ids[suite]:
            for path in (world.root / "results" / "embedded" / "records").glob(f"{run_id}.*"):
                world.copy(folder, f"results/embedded/records/{path.name}")


def _prepare_grid(world: World, folder: Path) -> None:
    world.copy(folder, "cache")
    _records(world, folder, "base")


def _prepare_collect(world: World, folder: Path) -> None:
    """The runs of Table 2 are not collected yet, all others are."""
    world.copy(folder, "results")
    forgotten = run(bench("forget", "table2", "--scale", "embedded", "--results", "results", "--yes"), folder)
    assert forgotten.code == 0, forgotten.err
    world.copy(folder, "results/embedded/records")


def _prepare_pretraining(world: World, folder: Path) -> None:
    world.copy(folder, "cache/data")


def _judge_rows(chosen: Callable[[World], Rows], *, measured_anew: bool = False) -> Callable[[World, Path], Verdict]:
    return lambda world, folder: compare(folder / "results" / "embedded", chosen(world), measured_anew=measured_anew)


def of_suites(*suites: str) -> Callable[[World], Rows]:
    def chosen(world: World) -> Rows:
        runs = {run_id for suite in suites for run_id in world.run_ids[suite]}
        return of_runs(world.rows, lambda key: key["run_id"] in runs)

    return chosen


def of_head_alone(world: World) -> Rows:
    """Rows of the base and of the run of method fc_only."""
    runs = {*world.run_ids["base"], world.head_alone}
    return of_runs(world.rows, lambda key: key["run_id"] in runs)


def _without_head_alone(world: World) -> Rows:
    return {key: row for key, row in world.rows.items() if world.head_alone not in key}


def _write_one_record() -> None:
    write_record(Path("results", "embedded"), [replace(row, run_id="other0") for row in plain_run(patch=60.0)])


def _judge_one_record(world: World, folder: Path) -> Verdict:
    """It is there once, whole, and the others are too."""
    collected = run(bench("collect", "--scale", "embedded", "--results", "results"), folder)
    only_theirs = {key for key in world.merged_rows if {"other1", "other2"} & set(key)}
    expected = {key: row for key, row in world.merged_rows.items() if key not in only_theirs}
    found = compare(folder / "results" / "embedded", expected, measured_anew=False)
    return seen_together([troubles(collected), found])


GRID = Work(
    name="grid",
    prepare=_prepare_grid,
    action=bench(*grid_words()),
    judge=_judge_rows(of_suites("base", "patching"), measured_anew=True),
)
PRETRAINING = Work(
    name="base pre-training",
    prepare=_prepare_pretraining,
    action=bench(*grid_words("--method", "fc_only")),
    judge=_judge_rows(of_head_alone, measured_anew=True),
)
COLLECT = Work(
    name="collect",
    prepare=_prepare_collect,
    action=bench("collect", "--scale", "embedded", "--results", "results"),
    judge=_judge_rows(lambda world: world.rows),
)
MERGE = Work(
    name="merge",
    prepare=lambda world, folder: world.copy(folder, "results", "other"),
    action=bench("collect", "other/embedded", "--scale", "embedded", "--results", "results"),
    judge=_judge_rows(lambda world: world.merged_rows),
)
FORGET = Work(
    name="forget",
    prepare=lambda world, folder: world.copy(folder, "results"),
    action=bench("forget", "table2", "--scale", "embedded", "--method", "fc_only", "--results", "results", "--yes"),
    judge=_judge_rows(_without_head_alone),
    may_say="No run on record",
)
RECORD = Work(
    name="write_record",
    prepare=lambda world, folder: world.copy(folder, "results"),
    action=_write_one_record,
    judge=_judge_one_record,
)

# --- patches ---------------------------------------------------------------------------------------------------------


def _prepare_fit(world: World, folder: Path) -> None:
    world.copy(folder, "tool/pets", "tool/net.pt")


def _prepare_fit_over(world: World, folder: Path) -> None:
    world.copy(folder, "tool")
    (folder / "tool" / "kept" / "notes.txt").write_text(NOTES)


def judge_patch(patch: Path, reference: Path, *, with_notes: bool = False) -> Verdict:
    """All files of a patch are there, and its tensors are those of the undisturbed fit."""
    missing = [file.name for file in reference.iterdir() if not (patch / file.name).is_file()]
    notes = [f"{patch.name} lacks {', '.join(missing)}"] if missing else []
    if with_notes and (not (patch / "notes.txt").is_file() or (patch / "notes.txt").read_text() != NOTES):
        notes.append("a file of the user's is gone from the patch folder")
    tensors = "patch.safetensors"
    differs = not missing and (patch / tensors).read_bytes() != (reference / tensors).read_bytes()
    return Verdict(lost=int(bool(notes)), silent=int(differs), notes=(*notes, *(["tensors differ"] if differs else [])))


FIT = Work(
    name="fit",
    prepare=_prepare_fit,
    action=delta_patch(*fit_words("tool/kept")),
    judge=lambda world, folder: judge_patch(folder / "tool" / "kept", world.root / "tool" / "kept"),
    may_say="holds a patch already",
)
FIT_OVER = Work(
    name="fit over an older patch",
    prepare=_prepare_fit_over,
    action=delta_patch(*fit_words("tool/kept", "--force", seed=1)),
    judge=lambda world, folder: judge_patch(folder / "tool" / "kept", world.root / "reference", with_notes=True),
)


def _save_patch() -> None:
    save_patch(trained(DeltaConfig(n_modules=1)), Path("patches", "task"))


def _prepare_save(_: World, folder: Path) -> None:
    """An older patch of other tensors, with a file of the user's."""
    model = trained(DeltaConfig(n_modules=1), basic_block_net())
    with torch.no_grad():
        next(iter(model.patches.parameters())).zero_()
    save_patch(model, folder / "patches" / "task")
    save_patch(trained(DeltaConfig(n_modules=1)), folder / "undisturbed-patch" / "task")
    (folder / "patches" / "task" / "notes.txt").write_text(NOTES)


SAVE_PATCH = Work(
    name="save_patch",
    prepare=_prepare_save,
    action=_save_patch,
    judge=lambda _, folder: judge_patch(
        folder / "patches" / "task", folder / "undisturbed-patch" / "task", with_notes=True
    ),
)

# --- stores ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class _Key:
    """What names the stored numbers."""

    net: str = "net"


def _batches() -> Iterator[Tensor]:
    """Rows of a store, drawn from a fixed seed."""
    drawn = torch.Generator().manual_seed(7)
    return (torch.randn(4, 3, 5, 5, generator=drawn) for _ in range(3))


def _stored(folder: Path) -> Tensor | None:
    return TensorStore(root=folder / "features", limit_gb=1).tensor("set", _Key(), 12, torch.float32, _batches)


def _make_store() -> None:
    if _stored(Path()) is None:
        raise RuntimeError("nothing was stored")


def _judge_store(_: World, folder: Path) -> Verdict:
    found = _stored(folder)
    if found is None:
        return Verdict(lost=1, notes=("nothing is stored",))
    differs = not torch.equal(found, torch.cat(list(_batches())))
    return Verdict(silent=int(differs), notes=("the stored tensor differs",) if differs else ())


STORE = Work(
    name="store making",
    prepare=lambda _, folder: folder.mkdir(parents=True, exist_ok=True),
    action=_make_store,
    judge=_judge_store,
)
