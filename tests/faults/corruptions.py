"""Damaged files of every kind: what reads them refuses them by name, makes them again, or comes to the same numbers."""

import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

from forked import Action, Ended, run, start

from delta_core.training.errors import UserError
from delta_core.training.lock import locked
from tests.faults.commands import bench, delta_patch, render, troubles
from tests.faults.damage import damage_one
from tests.faults.groups import Group, Trial
from tests.faults.rows import compare, rows_below
from tests.faults.verdict import Verdict, seen_together
from tests.faults.works import judge_patch, of_head_alone, of_suites
from tests.faults.world import PLACES, STARTS, World, fit_words, grid_words

COLLECT = bench("collect", "--scale", "embedded", "--results", "results")
ADAPTATION = bench("run", *STARTS, *PLACES, "--workers", 1)
EVALUATION = delta_patch("eval", "tool/kept", "tool/pets", "--weights", "tool/net.pt", "--device", "cpu")
HEAD_ALONE = bench(*grid_words("--method", "fc_only", workers=1))
READERS = (COLLECT, render("table2", "--results", "results"), bench("status", *grid_words()[1:]))
"""Commands that read the tables; any of them may come first."""


Judge = Callable[[World, Path, Ended], Verdict]


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of file."""

    name: str
    files: str
    """Pattern of those that are damaged, below the folder of a trial."""
    prepare: Callable[[World, Path, Random], None]
    reads: Callable[[Random], Action]
    """A command that reads them."""
    judge: Judge
    """Whether numbers are the undisturbed ones; a file that its reader refuses is no damage."""


def _corrupted(kind: Kind) -> Trial:
    def trial(world: World, random: Random, folder: Path) -> Verdict:
        kind.prepare(world, folder, random)
        path, how = damage_one([file for file in folder.glob(kind.files) if file.is_file()], random)
        ended = run(kind.reads(random), folder)
        told = bool(ended.code) or _names(path, ended)
        found = kind.judge(world, folder, ended)
        # A reader that says so has done what it can; one that says nothing has taken damage for data.
        found = Verdict() if told else replace(found, lost=0, silent=max(found.silent, found.lost))
        found = seen_together([troubles(ended), found])
        where = path.relative_to(folder)
        return found if found.clean else replace(found, notes=(f"{where}, {how}: {'; '.join(found.notes)}",))

    return trial


def _names(path: Path, ended: Ended) -> bool:
    """Whether a command said something of a file: by its name, that of its run or of its store."""
    names = {path.name, path.name.partition(".")[0], path.parent.name} - {
        "records",
        "embedded",
        "data",
        "bases",
        "kept",
    }
    said = [*ended.err.splitlines(), *(line for line in ended.out.splitlines() if " rows in " not in line)]
    return any(name in line for line in said for name in names)


# --- results ---------------------------------------------------------------------------------------------------------


def _results(*, tables: bool, records: bool) -> Callable[[World, Path, Random], None]:
    def prepare(world: World, folder: Path, _: Random) -> None:
        world.copy(folder, "results")
        if not tables:
            for path in (folder / "results" / "embedded").glob("*.csv"):
                path.unlink()
        if not records:
            shutil.rmtree(folder / "results" / "embedded" / "records")

    return prepare


def _judge_all_rows(world: World, folder: Path, _: Ended) -> Verdict:
    """The readers' own rows; a table that they refuse is not silent."""
    try:
        rows_below(folder / "results" / "embedded")
    except UserError:
        return Verdict()
    return compare(folder / "results" / "embedded", world.rows, measured_anew=False)


# --- caches ----------------------------------------------------------------------------------------------------------


def _with_base_measured(world: World, folder: Path, _: Random) -> None:
    """The base is on record, nothing else is."""
    world.copy(folder, "cache")
    for path in (world.root / "results" / "embedded" / "records").glob(f"{world.run_ids['base'][0]}.*"):
        world.copy(folder, f"results/embedded/records/{path.name}")


def _without_features(world: World, folder: Path, random: Random) -> None:
    """So that the base itself is used."""
    _with_base_measured(world, folder, random)
    shutil.rmtree(folder / "cache" / "features")


def _judge_head_alone(world: World, folder: Path, ended: Ended) -> Verdict:
    return _of_a_grid(compare(folder / "results" / "embedded", of_head_alone(world), measured_anew=True), ended)


def _judge_starts(world: World, folder: Path, ended: Ended) -> Verdict:
    expected = of_suites("base", "domain_adaptation")(world)
    return _of_a_grid(compare(folder / "results" / "embedded", expected, measured_anew=True), ended)


def _of_a_grid(found: Verdict, ended: Ended) -> Verdict:
    """After a refusal there are no rows."""
    return replace(found, lost=0) if ended.code else found


# --- patches ---------------------------------------------------------------------------------------------------------


def _patch(world: World, folder: Path, _: Random) -> None:
    world.copy(folder, "tool")


def _judge_evaluation(world: World, folder: Path, ended: Ended) -> Verdict:
    """It prints what it prints of the undisturbed patch."""
    undisturbed = folder / "undisturbed"
    world.copy(undisturbed, "tool")
    expected = run(EVALUATION, undisturbed)
    differs = not ended.code and ended.out != expected.out
    return Verdict(silent=int(differs), notes=("eval says something else, and not why",) if differs else ())


LONG = fit_words("tool/long", "--epochs", 4)


def _unfinished_fit(world: World, folder: Path, _: Random) -> None:
    """A fit that was killed after its first epochs."""
    place = world.root / "unfinished"
    with locked(world.root / "unfinished.lock"):
        while not (place / "whole").exists():
            shutil.rmtree(place, ignore_errors=True)
            for part in ("killed", "whole"):
                world.copy(place / part, "tool/pets", "tool/net.pt")
            running = start(delta_patch(*LONG), place / "killed")
            while not list((place / "killed").glob("tool/.*/*.pt")) and not running.has_ended():
                time.sleep(0.002)
            running.signal(signal.SIGKILL)
            running.wait()
            if not list((place / "killed").glob("tool/.*/*.pt")):  # it was over before the kill
                shutil.rmtree(place / "whole")
                continue
            assert run(delta_patch(*LONG), place / "whole").code == 0
    shutil.copytree(place / "killed" / "tool", folder / "tool")


def _judge_long_fit(world: World, folder: Path, ended: Ended) -> Verdict:
    if ended.code:
        return Verdict()
    return judge_patch(folder / "tool" / "long", world.root / "unfinished" / "whole" / "tool" / "long")


def _kind(name: str, files: str, prepare: Callable[[World, Path, Random], None], *reads: Action, judge: Judge) -> Kind:
    return Kind(name=name, files=files, prepare=prepare, reads=lambda random: random.choice(reads), judge=judge)


RESULTS, RECORDS, CACHE = "results/embedded", "results/embedded/records", "cache"
COLLECTED, CLONE, MEASURED = (
    _results(tables=tables, records=records) for tables, records in ((True, True), (True, False), (False, True))
)
KINDS = (
    _kind("records, collected", f"{RECORDS}/*.jsonl", COLLECTED, *READERS, judge=_judge_all_rows),
    _kind("records, not collected", f"{RECORDS}/*.jsonl", MEASURED, COLLECT, judge=_judge_all_rows),
    _kind("runs.csv", f"{RESULTS}/runs.csv", COLLECTED, *READERS, judge=_judge_all_rows),
    _kind("runs.csv of a clone", f"{RESULTS}/runs.csv", CLONE, *READERS, judge=_judge_all_rows),
    _kind("values.csv", f"{RESULTS}/values.csv", COLLECTED, *READERS, judge=_judge_all_rows),
    _kind("values.csv of a clone", f"{RESULTS}/values.csv", CLONE, *READERS, judge=_judge_all_rows),
    _kind("gates.csv", f"{RESULTS}/gates.csv", COLLECTED, COLLECT, judge=_judge_all_rows),
    _kind("gates.csv of a clone", f"{RESULTS}/gates.csv", CLONE, COLLECT, judge=_judge_all_rows),
    _kind("gates of a run", f"{RECORDS}/*.gates.csv", MEASURED, COLLECT, judge=_judge_all_rows),
    _kind("slim base", f"{CACHE}/bases/*", _without_features, HEAD_ALONE, judge=_judge_head_alone),
    _kind("stored features", f"{CACHE}/features/*/*/*.bin", _with_base_measured, HEAD_ALONE, judge=_judge_head_alone),
    _kind(
        "meta.json of features",
        f"{CACHE}/features/*/*/*.json",
        _with_base_measured,
        HEAD_ALONE,
        judge=_judge_head_alone,
    ),
    _kind("drawn data", f"{CACHE}/data/*.npz", _without_features, HEAD_ALONE, judge=_judge_head_alone),
    _kind("adaptation start", f"{CACHE}/starts/*", _with_base_measured, ADAPTATION, judge=_judge_starts),
    _kind("fit checkpoint", "tool/.*/*.pt", _unfinished_fit, delta_patch(*LONG), judge=_judge_long_fit),
    _kind("stored features of a fit", "tool/.*/*/*/*/*", _unfinished_fit, delta_patch(*LONG), judge=_judge_long_fit),
    _kind("patch tensors", "tool/kept/*.safetensors", _patch, EVALUATION, judge=_judge_evaluation),
    _kind("json of a patch", "tool/kept/*.json", _patch, EVALUATION, judge=_judge_evaluation),
    _kind("csv of a patch", "tool/kept/*.csv", _patch, EVALUATION, judge=_judge_evaluation),
    _kind("weights file of a patch's net", "tool/net.pt", _patch, EVALUATION, judge=_judge_evaluation),
)
GROUPS = tuple(Group(fault=f"damage in {kind.name}", trial=_corrupted(kind), whole=16) for kind in KINDS)
