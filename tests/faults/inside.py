"""SIGKILL inside a run, of each training loop of the suite; the same command goes on to the same bits."""

import signal
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random

from forked import run, start

from tests.faults.commands import bench, troubles
from tests.faults.groups import Group, Trial
from tests.faults.rows import compare, rows_below
from tests.faults.verdict import Verdict, seen_together
from tests.faults.works import Work, extent
from tests.faults.world import GRID, PLACES, World

EVERY_S = 0.2
"""Seconds of a training that a kill may cost; a step takes some hundredths."""
NET = ("--arch", "resnet18")
CELL = (*GRID[:-2], "--epochs")
LOOPS: dict[str, tuple[object, ...]] = {
    "a patch": (*CELL, 30, "--method", "delta_networks:maps"),
    "a peer": (*CELL, 30, "--method", "norm_tuning"),
    "PAINT": (*CELL, 20, "--method", "paint:lr=0.001"),
    "a sequence": ("table11", *NET, "--task", "signs+mnist5k+photos", "--epochs", 8, "--method", "paint:lr=0.001"),
    "a transfer": ("table5", *NET, "--task", "autos", "--train-percent", 15, "--steps", 8, "--method", "bi_tuning"),
    "an adaptation's start": (
        "table6", "--steps", 40, "--task", "mnist5k->optdigits", "--method", "vanilla+uniform_prior",
    ),
    "an adaptation": ("table6", "--steps", 40, "--task", "mnist5k->optdigits", "--method", "adda"),
    "a net from scratch": ("table12", *NET, "--task", "signs", "--epochs", 20, "--method", "standard"),
    "a pre-training": (*CELL, 1, "--method", "fc_only"),
}  # fmt: skip


def _work(loop: str, words: Sequence[object]) -> Work:
    def prepare(world: World, folder: Path) -> None:
        world.copy(folder, "cache/data" if loop == "a pre-training" else "cache")

    def judge(world: World, folder: Path) -> Verdict:
        expected = rows_below(_kept(world, loop) / "undisturbed" / "results" / "embedded")[0]
        return compare(folder / "results" / "embedded", expected, measured_anew=True)

    action = bench("run", *words, *PLACES, "--workers", 1, "--checkpoint-every-s", EVERY_S)
    return Work(name=f"inside {loop}", prepare=prepare, action=action, judge=judge)


def _kept(world: World, loop: str) -> Path:
    return world.root / "inside" / loop.replace(" ", "-")


def _killed(works: dict[str, Work]) -> Trial:
    def trial(world: World, random: Random, folder: Path) -> Verdict:
        loop = random.choice(sorted(works))
        work = works[loop]

        def undisturbed(whole: Path) -> dict[str, float]:
            ended = run(work.action, whole, limit_s=240)
            assert ended.code == 0, ended.err
            return {"seconds": ended.seconds}

        seconds = extent(world, work, _kept(world, loop), undisturbed)["seconds"]
        work.prepare(world, folder)
        seen = []
        for _ in range(random.choice([1, 1, 2])):  # what goes on may be killed as well
            running = start(work.action, folder)
            time.sleep(random.uniform(0, seconds))
            running.signal(signal.SIGKILL, group=True)
            killed = running.wait()
            seen += [troubles(killed), work.kept_its_promise(world, folder, killed)]
        seen.append(work.done_again(world, folder))
        left = [str(path.relative_to(folder)) for path in (folder / "cache" / "unfinished").glob("*")]
        seen.append(Verdict(unlike=int(bool(left)), notes=tuple(f"{loop}: {name} is left" for name in left)))
        found = seen_together(seen)
        return found if found.clean else seen_together([Verdict(notes=(f"inside {loop}",)), found])

    return trial


GROUPS = (
    Group(
        fault="SIGKILL inside a run",
        trial=_killed({loop: _work(loop, words) for loop, words in LOOPS.items()}),
        whole=100,
    ),
)
