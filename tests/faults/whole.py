"""All kinds of faults, one after the other, with progress on the terminal."""

import argparse
import time
from collections import defaultdict
from dataclasses import replace

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from delta_core.training.provenance import git_state
from tests.faults import bad_input, cluster, corruptions, crash_points, disks, drivers, inside, interrupts, kills
from tests.faults.groups import Group
from tests.faults.table import write_page
from tests.faults.trials import Series, digest_of_sources
from tests.faults.verdict import Verdict, total
from tests.faults.world import open_world

SECTIONS: dict[str, dict[str, tuple[Group, ...]]] = {
    "On one machine": {
        "kills": kills.GROUPS,
        "crash_points": crash_points.GROUPS,
        "corruptions": corruptions.GROUPS,
        "disks": disks.GROUPS,
        "interrupts": interrupts.GROUPS,
        "drivers": drivers.GROUPS,
        "bad_input": bad_input.GROUPS,
    },
    "Inside a run": {"inside": inside.GROUPS},
    "Killed on a cluster": {"cluster_kills": cluster.KILLS},
    "Stopped on a cluster": {"cluster_stops": cluster.STOPS},
    "Nodes of a cluster that differ": {"cluster_nodes": cluster.NODES_THAT_DIFFER},
}
"""Title on the page -> kind -> groups."""
KINDS = {kind: groups for section in SECTIONS.values() for kind, groups in section.items()}
UNLESS_NAMED = tuple(kind for kind in KINDS if not kind.startswith("cluster"))
"""Trials of a cluster take most of a minute each, and two hours in all: they are for those who name them."""


def show(options: argparse.Namespace) -> int:
    """Run what was chosen, print every damage as it is seen and the table at last; returns the exit code."""
    torch.set_num_threads(1)
    started = time.monotonic()
    console = Console(width=None if Console().is_terminal else 200, highlight=False, markup=False, emoji=False)
    groups = [group for kind in options.kinds or UNLESS_NAMED for group in KINDS[kind]]
    groups = [group for group in groups if options.fault in (None, group.fault)]
    todo = [
        (group, number)
        for group in groups
        for number in range(min(group.whole, options.trials or group.whole))
        if options.number in (None, number)
    ]
    console.print(f"{len(todo)} trials of seed {options.seed}, {options.jobs} at a time, in {options.scratch}")
    options.scratch.mkdir(parents=True, exist_ok=True)
    sources = digest_of_sources()
    world = open_world(options.scratch.resolve() / f"world-{sources}")
    console.print(f"the undisturbed world is there after {time.monotonic() - started:.0f} s")
    series = Series(seed=options.seed, jobs=options.jobs, scratch=options.scratch.resolve(), sources=sources)
    seen: dict[str, list[Verdict]] = defaultdict(list)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    # Refreshed by hand: a thread of its own would be there when trials are forked.
    with Progress(*columns, console=console, auto_refresh=False, disable=not console.is_terminal) as progress:
        bar = progress.add_task("trials", total=len(todo))

        def on_end(group: Group, number: int, verdict: Verdict) -> None:
            told = () if verdict.clean else (f"{group.fault}, trial {number}: {'; '.join(verdict.notes)}",)
            seen[group.fault].append(replace(verdict, notes=told))
            if told:
                console.print(*told)
            elif not console.is_terminal and len(seen[group.fault]) % 20 == 0:
                console.print(f"{group.fault}: {len(seen[group.fault])} trials")
            progress.update(bar, advance=1, description=group.fault, refresh=True)

        series.run(world, todo, on_end)
    totals = {group.fault: total(seen[group.fault]) for group in groups}
    sections = {
        title: {group.fault: totals[group.fault] for group in sum(kinds.values(), ()) if group.fault in totals}
        for title, kinds in SECTIONS.items()
    }
    measured = {title: faults for title, faults in sections.items() if faults}
    before = options.write.read_text(encoding="utf-8") if options.write and options.write.exists() else ""
    commit, changed = git_state()
    told = f"{commit[:7]}, changed" if changed else commit[:7]
    page = write_page(before, measured, seed=options.seed, jobs=options.jobs, commit=told)
    console.print(page)
    if options.write:
        options.write.write_text(page, encoding="utf-8")
    return 0 if all(verdict.clean for verdict in totals.values()) else 1
