"""Several commands at once on one folder: nothing is done twice, nothing is lost, and waiting ends."""

import re
import shutil
import signal
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

from fake_rows import plain_run
from forked import Action, Ended, run, start

from benchmarks.records.record_files import write_record
from tests.faults.commands import bench, troubles
from tests.faults.groups import Group
from tests.faults.kills import seconds_of
from tests.faults.rows import compare, rows_below
from tests.faults.verdict import Verdict, seen_together
from tests.faults.works import FIT, GRID
from tests.faults.world import World

DRIVERS, FITS, COLLECTS = 4, 3, 20
NEEDED = 7
"""Runs of the grid."""


def _all_of(actions: Sequence[Action], folder: Path, *, kill_first_after: float | None = None) -> list[Ended]:
    running = [start(action, folder) for action in actions]
    if kill_first_after is not None:
        time.sleep(kill_first_after)
        running[0].signal(signal.SIGKILL)
    return [each.wait(120) for each in running]


def _codes(ended: Sequence[Ended], allowed: tuple[int, ...] = (0,)) -> Verdict:
    wrong = [each for each in ended if each.code not in allowed]
    said = [(each.err or each.out).strip().splitlines()[-1:] or [""] for each in wrong]
    notes = [f"exit code {each.code}: {line[0][:200]}" for each, line in zip(wrong, said, strict=True)]
    return Verdict(unlike=int(bool(wrong)), notes=tuple(notes[:2]))


def _grids(world: World, random: Random, folder: Path) -> Verdict:  # noqa: ARG001 - chance is in the drivers
    """Four drivers of one grid."""
    GRID.prepare(world, folder)
    ended = _all_of([GRID.action] * DRIVERS, folder)
    measured = sum(len(re.findall(r"base\s+bit-identical(?!,\s+measured\s+by)", each.out)) for each in ended)
    note = (f"{measured} runs done for {NEEDED} needed",) if measured != NEEDED else ()
    twice = Verdict(doubled=int(measured > NEEDED), notes=note)
    return seen_together([*(troubles(each) for each in ended), _codes(ended), twice, GRID.judge(world, folder)])


def _grids_and_a_kill(world: World, random: Random, folder: Path) -> Verdict:
    """One of four drivers is killed: the others do what it leaves."""
    GRID.prepare(world, folder)
    moment = random.uniform(0, seconds_of(world, GRID, folder))
    ended = _all_of([GRID.action] * DRIVERS, folder, kill_first_after=moment)
    return seen_together([*(troubles(each) for each in ended), _codes(ended[1:]), GRID.judge(world, folder)])


def _fits(world: World, random: Random, folder: Path) -> Verdict:  # noqa: ARG001
    """Three fits to one place: one does it, the others wait or say so."""
    FIT.prepare(world, folder)
    ended = _all_of([FIT.action] * FITS, folder)
    nobody = not any(each.code == 0 for each in ended)
    said = Verdict(lost=int(nobody), notes=("no fit came through",) if nobody else ())
    return seen_together([*(troubles(each) for each in ended), _codes(ended, (0, 2)), said, FIT.judge(world, folder)])


def _collects(world: World, random: Random, folder: Path) -> Verdict:
    """Twenty collects, each of which brings a run of its own."""
    world.copy(folder, "results")
    sources = [f"machine{number}/embedded" for number in range(COLLECTS)]
    for number, source in enumerate(sources):
        rows = plain_run(patch=random.randrange(100_001) / 1000, task="signs", seed=number)
        write_record(folder / source, [replace(row, run_id=f"of-machine{number}") for row in rows])
    shutil.copytree(folder / "results", folder / "one-by-one")
    into = ("--scale", "embedded", "--results")
    assert run(bench("collect", *sources, *into, "one-by-one"), folder).code == 0
    ended = _all_of([bench("collect", source, *into, "results") for source in sources], folder)
    expected = rows_below(folder / "one-by-one" / "embedded")[0]
    found = compare(folder / "results" / "embedded", expected, measured_anew=False)
    return seen_together([*(troubles(each) for each in ended), _codes(ended), found])


GROUPS = (
    Group(fault=f"{DRIVERS} drivers on one folder", trial=_grids, whole=6),
    Group(fault=f"{DRIVERS} drivers, one of them killed", trial=_grids_and_a_kill, whole=6),
    Group(fault=f"{FITS} fits to one place", trial=_fits, whole=6),
    Group(fault=f"{COLLECTS} collects at once", trial=_collects, whole=5),
)
