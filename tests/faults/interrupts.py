"""Ctrl-C and SIGTERM at a random moment of programs as they are, with imports and spawned workers."""

import signal
import time
from pathlib import Path
from random import Random

from forked import Action, run, start

from tests.faults.commands import process, troubles
from tests.faults.groups import Group, Trial
from tests.faults.verdict import Verdict, seen_together
from tests.faults.works import FIT, GRID, Work
from tests.faults.world import World, fit_words, grid_words

LIMIT_S = 120.0
MUTE_S = 1.0
"""In which Python itself starts, and nobody can say a word yet."""


def _interrupted(work: Work, program: Action) -> Trial:
    def trial(world: World, random: Random, folder: Path) -> Verdict:
        def undisturbed() -> dict[str, float]:
            work.prepare(world, folder / "undisturbed")
            return {"seconds": run(program, folder / "undisturbed", limit_s=240).seconds}

        whole = world.remembered(f"seconds-of-the-program-{work.name}", undisturbed)["seconds"]
        number, group, twice = (
            random.choice([signal.SIGINT, signal.SIGTERM]),
            random.random() < 0.5,
            random.random() < 0.3,
        )
        moment = random.uniform(0, whole)
        work.prepare(world, folder)
        running = start(program, folder)
        time.sleep(moment)
        if running.has_ended():
            return troubles(running.wait())
        sent = time.monotonic()
        running.signal(number, group=group)
        if twice:
            time.sleep(random.uniform(0.05, 1))
            running.signal(number, group=group)
        ended = running.wait(LIMIT_S)
        took = running.started + ended.seconds - sent
        shell_code = 128 - ended.code if ended.code < 0 else ended.code
        mute = moment < MUTE_S and ended.code == -number
        lines = [line for line in ended.err.splitlines() if line.strip()]
        unlike = []
        if shell_code not in (128 + number, 0):
            unlike.append(f"exit code {ended.code} after {number.name}")
        if ended.code and not mute and len(lines) != 1:
            unlike.append(f"{len(lines)} lines on stderr after {number.name}")
        described = f"{number.name} to {'the group' if group else 'the driver'} after {moment:.1f} s of {whole:.1f} s"
        found = seen_together([
            troubles(ended),
            Verdict(unlike=int(bool(unlike)), notes=tuple(unlike), seconds=(took,)),
            work.done_again(world, folder),
        ])  # fmt: skip
        return found if found.clean else seen_together([Verdict(notes=(described,)), found])

    return trial


GROUPS = (
    Group(
        fault="interrupt of a grid",
        trial=_interrupted(GRID, process("benchmarks", *grid_words())),
        whole=36,
    ),
    Group(
        fault="interrupt of a fit",
        trial=_interrupted(FIT, process("delta_core.tool", *fit_words("tool/kept"))),
        whole=18,
    ),
)
