"""Trials side by side, each in a process of its own; what is finished is kept, so that a killed series goes on."""

import hashlib
import json
import os
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from random import Random

from forked import alive

from tests.faults.groups import Group
from tests.faults.verdict import Verdict
from tests.faults.world import World

ROOT = Path(__file__).parents[2]
SOURCES = ("delta_core", "benchmarks", "reports", "tests/faults", "tests/support")
Key = tuple[str, int]
"""Fault and number of a trial."""


@dataclass(frozen=True, kw_only=True)
class Series:
    """How trials are run."""

    seed: int
    jobs: int
    """Trials at the same time."""
    scratch: Path
    """Folders of trials, and what came of those that ended."""
    sources: str
    """Digest of the code: what came of trials of other code says nothing."""

    @property
    def kept(self) -> Path:
        """File of finished trials."""
        return self.scratch / f"finished-{self.seed}-{self.sources}.jsonl"

    def finished(self) -> dict[Key, Verdict]:
        """Trials that have ended before."""
        if not self.kept.exists():
            return {}
        lines = [json.loads(line) for line in self.kept.read_text().splitlines() if line.endswith("}")]
        return {
            (line["fault"], line["number"]): Verdict(
                **{name: tuple(value) if isinstance(value, list) else value for name, value in line["verdict"].items()}
            )
            for line in lines
        }

    def run(
        self, world: World, todo: Sequence[tuple[Group, int]], on_end: Callable[[Group, int, Verdict], None]
    ) -> None:
        """Run trials, and tell of each as it ends."""
        finished, waiting, running = self.finished(), list(todo), dict[int, _Trial]()
        try:
            while waiting or running:
                while waiting and len(running) < self.jobs:
                    group, number = waiting.pop(0)
                    if (group.fault, number) in finished:
                        on_end(group, number, finished[group.fault, number])
                        continue
                    trial = self._start(world, group, number)
                    running[trial.pid] = trial
                for trial in _ended(running):
                    del running[trial.pid]
                    verdict = replace(trial.verdict(), took_s=round(time.monotonic() - trial.started, 2))
                    self._keep(trial, verdict)
                    on_end(trial.group, trial.number, verdict)
                time.sleep(0.01)
        finally:
            for trial in running.values():
                trial.end()

    def _start(self, world: World, group: Group, number: int) -> "_Trial":
        name = "".join(letter if letter.isalnum() else "-" for letter in group.fault)
        folder = self.scratch / "trials" / f"{name}-{number}"
        for left in (folder, folder.with_name(f"{folder.name}.streams")):  # of a series that was killed
            shutil.rmtree(left, ignore_errors=True)
        folder.mkdir(parents=True)
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            _judge(world, group, Random(f"{self.seed} {group.fault} {number}"), folder)
        return _Trial(pid=pid, group=group, number=number, folder=folder, started=time.monotonic())

    def _keep(self, trial: "_Trial", verdict: Verdict) -> None:
        with self.kept.open("a") as stream:
            line = {"fault": trial.group.fault, "number": trial.number, "verdict": asdict(verdict)}
            stream.write(json.dumps(line) + "\n")


@dataclass(frozen=True, kw_only=True)
class _Trial:
    pid: int
    group: Group
    number: int
    folder: Path
    started: float

    def verdict(self) -> Verdict:
        """What it wrote down at its end."""
        path = self.folder.with_suffix(".json")
        try:
            raw = json.loads(path.read_text())
            return Verdict(**{name: tuple(value) if isinstance(value, list) else value for name, value in raw.items()})
        except FileNotFoundError:
            return Verdict(hang=1, notes=("the trial ended without a verdict, or had to be ended",))
        finally:
            path.unlink(missing_ok=True)
            shutil.rmtree(self.folder, ignore_errors=True)
            shutil.rmtree(self.folder.with_name(f"{self.folder.name}.streams"), ignore_errors=True)

    def end(self) -> None:
        """Kill it with all that it started."""
        for pid in alive(session=self.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _judge(world: World, group: Group, random: Random, folder: Path) -> None:
    """The life of a trial; never returns."""
    try:
        os.setsid()
        os.umask(0o022)
        try:
            verdict = group.trial(world, random, folder)
        except Exception as error:  # noqa: BLE001 - a trial that breaks is no clean one
            place = traceback.extract_tb(error.__traceback__)[-1]
            broke = f"the trial itself broke: {type(error).__name__}: {error}, {place.filename}:{place.lineno}"
            verdict = Verdict(unlike=1, notes=(broke,))
        verdict = replace(verdict, notes=tuple(_without_places(note, folder) for note in verdict.notes))
        partial = folder.with_suffix(".partial")
        partial.write_text(json.dumps(asdict(verdict)))
        partial.replace(folder.with_suffix(".json"))
    finally:
        os._exit(0)


def _without_places(note: str, folder: Path) -> str:
    """Without the paths of this machine, which say nothing on a page."""
    for place in (folder, *folder.parents[:2], ROOT):
        note = note.replace(f"{place}/", "").replace(str(place), "its folder")
    return note


def _ended(running: dict[int, _Trial]) -> Iterator[_Trial]:
    """Trials that have ended, or had to."""
    for trial in list(running.values()):
        if time.monotonic() > trial.started + trial.group.limit_s:
            trial.end()
        if os.waitpid(trial.pid, os.WNOHANG)[0]:
            trial.end()
            yield trial


def digest_of_sources() -> str:
    """Tells one state of the code from another."""
    files = sorted(file for folder in SOURCES for file in (ROOT / folder).rglob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]
