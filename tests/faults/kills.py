"""SIGKILL at a random moment of a grid, a fit or a collect; then the same command again."""

import signal
import time
from pathlib import Path
from random import Random

from forked import run, start

from tests.faults.commands import troubles
from tests.faults.groups import Group, Trial
from tests.faults.verdict import Verdict, seen_together
from tests.faults.works import COLLECT, FIT, FIT_OVER, GRID, Work, extent
from tests.faults.world import World


def seconds_of(world: World, work: Work, folder: Path) -> float:
    """How long the undisturbed work takes on this machine."""
    return extent(world, work, folder, lambda undisturbed: {"seconds": run(work.action, undisturbed).seconds})[
        "seconds"
    ]


def _killed(work: Work, *, with_workers: bool) -> Trial:
    """The driver is killed alone, and takes its workers along; or all of them at one moment."""

    def trial(world: World, random: Random, folder: Path) -> Verdict:
        moment = random.uniform(0, seconds_of(world, work, folder))
        work.prepare(world, folder)
        running = start(work.action, folder)
        time.sleep(moment)
        running.signal(signal.SIGKILL, group=with_workers)
        killed = running.wait()
        kept = work.kept_its_promise(world, folder, killed)
        return seen_together([troubles(killed), kept, work.done_again(world, folder)])

    return trial


GROUPS = (
    Group(fault="SIGKILL of a grid's driver", trial=_killed(GRID, with_workers=False), whole=60),
    Group(fault="SIGKILL of a grid, workers and all", trial=_killed(GRID, with_workers=True), whole=40),
    Group(fault="SIGKILL of a fit", trial=_killed(FIT, with_workers=False), whole=50),
    Group(fault="SIGKILL of a fit over an older patch", trial=_killed(FIT_OVER, with_workers=False), whole=50),
    Group(fault="SIGKILL of a collect", trial=_killed(COLLECT, with_workers=False), whole=100),
)
