"""`benchmarks rehearse`: look-alikes, then every table by the user's own command lines, and what came of it."""

import os
import resource
import runpy
import signal
import sys
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import tyro
from rich.console import Console

from benchmarks.grid.fork_server import end_server, process_context
from benchmarks.grid.plan import Planned, plan
from benchmarks.nets.weight_files import BASES
from benchmarks.rehearsal.data import make_data
from benchmarks.rehearsal.steps import IMAGE_SIZE, Folders, checking, measuring, names, options_of, showing
from benchmarks.rehearsal.weights import make_weights
from benchmarks.spec import describe
from benchmarks.tables import runs_of, table_of
from benchmarks.worlds.options import Options
from delta_core.training.interrupts import SIGNALS

SHOWN = 10
"""Runs without rows that are named of a table."""
KILOBYTES = 1024 if sys.platform == "linux" else 1
"""Unit of `ru_maxrss` in bytes."""
REPORTS = ("reports.cli", "reports.html.index")
"""What steps import, beside what measures. A part has sixty steps, most of which do less than imports take."""


@dataclass(frozen=True, kw_only=True)
class Done:
    """A step that ended."""

    name: str
    code: int
    minutes: float
    cpu_minutes: float
    """Of all its processes."""
    peak_gb: float
    """Resident memory of its largest process, in 10^9 bytes."""


def rehearse(
    tables: tyro.conf.Positional[tuple[str, ...]],
    *,
    folder: Path = Path("rehearsal"),
    part: tyro.conf.FlagCreatePairsOff[bool] = False,
    image_size: int = IMAGE_SIZE,
    workers: int | None = None,
) -> int:
    """Run tables at scale paper on look-alike data with random weights, two steps long; its rows are no results.

    Args:
        tables: names of tables, or all. Table 7 needs the environment of OpenMMLab.
        folder: where look-alikes, rows, reports and logs go; what is there already is kept.
        part: of each table a part on small nets, in which every suite, method and report comes once.
        image_size: side in pixels that nets see, the paper's is 224; Table 5 stays at 32, Tables 6 and 7 at their own.
        workers: runs at the same time. Default: one per core.
    """
    console = Console(width=None if sys.stdout.isatty() else 160)
    folders = Folders(root=folder)
    chosen = names(part=part) if tables == ("all",) else tables
    for table in chosen:
        table_of(table)  # an unknown name is told before anything is made
    options = {table: _options_of(options_of(table, folders, part=part, image_size=image_size)) for table in chosen}
    started = time.perf_counter()
    make_data(folders.data, lambda name: _tell(console, f"made look-alikes of {name}"))
    needed = {item.run.weights for table in chosen for item in _planned(options[table])}
    bases = [base for base in BASES if f"timm:{base}" in needed]
    make_weights(folders.weights, bases, lambda name: _tell(console, f"made weights like {name}"))
    steps = checking(folders)
    for table in chosen:
        steps |= measuring(table, folders, part=part, workers=workers, image_size=image_size)
    done: list[Done] = []
    for name, words in (steps | showing(folders, chosen)).items():
        done.append(_call(name, words, folders))
        _tell(console, _line(done[-1]))
    whole = [_tell_of(console, table, _planned(options[table]), done) for table in chosen]
    failed = [each.name for each in done if each.code]
    _tell(
        console,
        f"{(time.perf_counter() - started) / 60:.1f} min, largest process {max(each.peak_gb for each in done):.1f} GB; "
        f"rows, reports and figures in {folders.results / 'paper'}, logs in {folders.logs}",
    )
    if failed:
        _tell(console, f"failed: {', '.join(failed)}")
    return 0 if all(whole) and not failed else 1


def _options_of(words: list[str]) -> Options:
    """What the command line makes of words; without OpenMMLab Table 7 is only planned."""
    return tyro.cli(tyro.conf.OmitArgPrefixes[Options], args=[*words, "--dry-run"])


def _planned(options: Options) -> list[Planned]:
    table = table_of(options.table)
    world = table.open_world(options, table.tasks)
    return plan(world, runs_of(options, world))


def _call(name: str, words: list[str], folders: Folders) -> Done:
    """`python -m WORDS` in a process of its own; what it prints goes into its log.

    The process is forked from one that has imported what all of them need and has done nothing else.
    """
    log = folders.logs / f"{name.replace(' ', '-')}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    context = process_context(*REPORTS)
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_step, args=(words, log, sender))
    process.start()
    sender.close()
    try:
        process.join()
    except BaseException:
        process.terminate()
        raise
    try:
        cpu_s, peak = receiver.recv()
    except EOFError:  # it was killed
        cpu_s, peak = 0.0, 0
    return Done(
        name=name,
        code=process.exitcode or 0,
        minutes=(time.perf_counter() - started) / 60,
        cpu_minutes=cpu_s / 60,
        peak_gb=peak * KILOBYTES / 1e9,
    )


def _step(words: list[str], log: Path, used: Connection) -> None:
    """What a process does; it sends its CPU seconds and its largest resident memory, with those of its children."""
    with log.open("w", encoding="utf-8") as stream:
        for place in (1, 2):
            os.dup2(stream.fileno(), place)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    _, module, *arguments = words
    sys.argv = [module, *arguments]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    finally:
        end_server()
        both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        used.send((sum(one.ru_utime + one.ru_stime for one in both), max(one.ru_maxrss for one in both)))


def _line(done: Done) -> str:
    failure = f", FAILED with exit code {done.code}" if done.code else ""
    took = f"{done.minutes:.1f} min ({done.cpu_minutes:.1f} of work)"
    return f"{done.name}: {took}, largest process {done.peak_gb:.1f} GB{failure}"


def _tell_of(console: Console, table: str, planned: list[Planned], done: list[Done]) -> bool:
    """Say how many runs of a table have rows, and which have none; returns whether all have."""
    missing = [item.run for item in planned if item.state != "done"]
    minutes = sum(each.minutes for each in done if each.name.startswith(f"{table} "))
    _tell(console, f"{table}: rows of {len(planned) - len(missing)} of {len(planned)} runs, {minutes:.1f} min")
    for run in missing[:SHOWN]:
        _tell(console, f"  no rows of {describe(run)}")
    if len(missing) > SHOWN:
        _tell(console, f"  and of {len(missing) - SHOWN} more")
    return bool(planned) and not missing


def _tell(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)
