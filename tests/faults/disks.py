"""Full, read-only, forbidden and removed folders, and few files open at a time, at any moment of a work."""

import errno
import os
import resource
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random

from forked import LIMIT_S, Ended, run, start

from tests.faults.commands import troubles
from tests.faults.crash_points import Operations, operations_of
from tests.faults.groups import Group, Trial
from tests.faults.kills import seconds_of
from tests.faults.namespaces import drop_rights_over_files, make_read_only, mount_small_disk, own_mounts
from tests.faults.verdict import Verdict, seen_together
from tests.faults.works import COLLECT, FIT, FIT_OVER, GRID, Work
from tests.faults.world import World

WORKS = (GRID, GRID, COLLECT, FIT, FIT_OVER)
ROOM = 2**30
PLACES = {GRID.name: ("results", "cache"), COLLECT.name: ("results",), FIT.name: ("tool",), FIT_OVER.name: ("tool",)}
"""Folders that a work writes to."""


def _judged(work: Work, world: World, folder: Path, ended: Ended) -> Verdict:
    """Under the fault one sentence and no success that is none; after it everything is there."""
    lines = [line for line in ended.err.splitlines() if line.strip()]
    unlike = bool(ended.code) and not ended.hung and not lines and "FAILED" not in ended.out
    said = Verdict(unlike=int(unlike), notes=(f"exit code {ended.code} without a word",) if unlike else ())
    kept = work.kept_its_promise(world, folder, ended)
    return seen_together([troubles(ended), said, kept, work.done_again(world, folder)])


def _full(world: World, random: Random, folder: Path) -> Verdict:
    """A disk on which a random part of what the work writes has room."""
    work = random.choice(WORKS)
    if not own_mounts():
        return _failing(work, errno.ENOSPC, world, random, folder)
    mount_small_disk(folder, ROOM)
    work.prepare(world, folder)
    used = ROOM - shutil.disk_usage(folder).free
    written = world.remembered(f"bytes-of-{work.name.replace(' ', '-')}", lambda: _bytes_written(work, world, folder))
    mount_small_disk(folder, used + 4096 + random.randrange(int(written["bytes"])))
    ended = run(work.action, folder)
    mount_small_disk(folder, ROOM)
    return _judged(work, world, folder, ended)


def _bytes_written(work: Work, world: World, folder: Path) -> dict[str, float]:
    undisturbed = folder / "undisturbed"
    work.prepare(world, undisturbed)
    free = shutil.disk_usage(folder).free
    run(work.action, undisturbed)
    written = free - shutil.disk_usage(folder).free
    shutil.rmtree(undisturbed)
    return {"bytes": max(written, 4096)}


def _failing(work: Work, number: int, world: World, random: Random, folder: Path) -> Verdict:
    """Where nothing can be mounted: file operations fail from a random one on."""
    chosen = random.randint(1, operations_of(world, work, folder))

    def fail(operation: int) -> None:
        if operation >= chosen:
            raise OSError(number, os.strerror(number))

    work.prepare(world, folder)
    return _judged(work, world, folder, run(work.action, folder, first=Operations(folder, fail)))


def _read_only(world: World, random: Random, folder: Path) -> Verdict:
    """From the start or from a random moment on."""
    work = random.choice(WORKS)
    place = folder / random.choice(PLACES[work.name])
    if not own_mounts():
        return _failing(work, errno.EROFS, world, random, folder)
    moment = random.choice([0.0, random.uniform(0, seconds_of(world, work, folder))])
    work.prepare(world, folder)
    place.mkdir(exist_ok=True)
    make_read_only(place, read_only=not moment)
    ended = _at_moment(work, folder, moment, lambda: make_read_only(place, read_only=True))
    make_read_only(place, read_only=False)
    return _judged(work, world, folder, ended)


def _forbidden(world: World, random: Random, folder: Path) -> Verdict:
    """A folder that may be neither read nor written, from the start or from a random moment on."""
    work = random.choice(WORKS)
    moment = random.choice([0.0, random.uniform(0, seconds_of(world, work, folder))])
    rights = random.choice([0o000, 0o500, 0o300])
    work.prepare(world, folder)
    folders = [folder / place for place in PLACES[work.name]]
    places = [*folders, *(path for place in folders for path in place.rglob("*") if path.is_dir())]
    place = random.choice(sorted(path for path in places if path.exists()))
    if not moment:
        place.chmod(rights)
    ended = _at_moment(work, folder, moment, lambda: place.chmod(rights), first=drop_rights_over_files)
    if place.exists():
        place.chmod(0o755)
    return _judged(work, world, folder, ended)


def _removed(world: World, random: Random, folder: Path) -> Verdict:
    """A folder is removed at a random moment."""
    work = random.choice((GRID, GRID, FIT))
    place = folder / random.choice(PLACES[work.name])
    moment = random.uniform(0, seconds_of(world, work, folder))
    work.prepare(world, folder)
    ended = _at_moment(work, folder, moment, lambda: shutil.rmtree(place, ignore_errors=True))
    # A folder that went after all was written cannot be told of; one that was made anew after it went, can.
    made_anew = work is GRID and (folder / "results" / "embedded" / "values.csv").exists()
    kept = work.kept_its_promise(world, folder, ended) if made_anew else Verdict()
    shutil.rmtree(place, ignore_errors=True)
    work.prepare(world, folder)
    return seen_together([troubles(ended), kept, work.done_again(world, folder)])


def _few_files(world: World, random: Random, folder: Path) -> Verdict:
    """`ulimit -n` so low that the work cannot go on at some moment, or not begin."""
    work = random.choice(WORKS)
    limit = random.randint(8, 64)
    work.prepare(world, folder)
    ended = run(work.action, folder, first=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit)))
    return _judged(work, world, folder, ended)


def _at_moment(
    work: Work, folder: Path, moment: float, fault: Callable[[], None], first: Callable[[], None] = lambda: None
) -> Ended:
    """Run a work and let a fault come at a moment of it; 0: it is there already."""
    running = start(work.action, folder, first=first)
    if moment:
        time.sleep(moment)
        end = time.monotonic() + LIMIT_S / 2
        while not running.has_ended() and time.monotonic() < end:
            with suppress(OSError):  # busy: tried again
                fault()
                break
            time.sleep(0.002)
    return running.wait()


def _group(fault: str, trial: Trial) -> Group:
    return Group(fault=fault, trial=trial, whole=20)


GROUPS = (
    _group("full disk", _full),
    _group("read-only folder", _read_only),
    _group("forbidden folder", _forbidden),
    _group("removed folder", _removed),
    _group("few files open at a time", _few_files),
)
