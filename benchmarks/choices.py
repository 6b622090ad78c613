"""`benchmarks list`: what flags take, a line each: tables, methods, tasks, nets and data."""

import inspect
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import tyro

from benchmarks.data.catalogue import CATALOGUE
from benchmarks.data.catalogue.check import DATA_ROOT, is_there
from benchmarks.data.embedded import ALL_TASKS, told_of
from benchmarks.data.groups import SIGN
from benchmarks.data.packaged.listing import PACKAGED, PREFIX, REAL, REAL_PREFIX
from benchmarks.data.packaged.task import missing_packages
from benchmarks.methods.listing import LABELS, SCRATCH_LABELS
from benchmarks.nets.slim import SLIM
from benchmarks.suites.domain_adaptation.listing import label_of
from benchmarks.suites.transfer.methods.listing import LABELS as TRANSFER_LABELS
from benchmarks.tables import TABLES
from benchmarks.worlds.options import Options
from benchmarks.worlds.paper import PAPER_WEIGHTS
from benchmarks.worlds.real import REAL_WEIGHTS
from delta_core import list_backbones

Kind = Literal["tables", "methods", "tasks", "nets", "data"]


def list_choices(what: tyro.conf.Positional[Kind], *, data_root: Path = DATA_ROOT) -> int:
    """List the names that flags take, a line each: tables, methods, tasks, nets or data.

    Args:
        what: tables, methods with their labels and tables, tasks and nets by scale, or data sets and whether they are
            here.
        data_root: folder below which official data sets lie.
    """
    lines = {"tables": tables, "methods": methods, "tasks": tasks, "nets": nets}
    print(*(data(data_root) if what == "data" else lines[what]()), sep="\n")
    return 0


def tables() -> Iterator[str]:
    """Name, and what is measured for it."""
    for name, table in TABLES.items():
        scales = [scale for scale in ("embedded", "real", "paper") if getattr(table.tasks, scale)]
        yield f"{name:18}{_first_line(table.runs)} Scales: {', '.join([*scales, 'local'])}."


@dataclass(kw_only=True)
class _Standing:
    """In which tables a method stands."""

    told: str
    always: list[str] = field(default_factory=list)
    if_named: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        parts = [", ".join(self.always), f"if named {', '.join(self.if_named)}" if self.if_named else ""]
        return "; ".join(part for part in parts if part)


def methods() -> Iterator[str]:
    """Name, label in tables, what it does, and the tables that have it, always or if --method names it."""
    found: dict[str, _Standing] = {}
    for table_name, table in TABLES.items():
        world = table.open_world(Options(table=table_name, dry_run=True), table.tasks)
        own = {run.method.name: run.method for run in table.runs(world, 1)}
        further = {run.method.name: run.method for run in (table.more(world, 1) if table.more else ())}
        for name, method in (own | {name: further[name] for name in further if name not in own}).items():
            standing = found.setdefault(name, _Standing(told=_first_line(type(method))))
            (standing.always if name in own else standing.if_named).append(table_name)
    for name, standing in found.items():
        yield f"{name:38}{_label(name):40}{standing.told} [{standing}]"


def _label(name: str) -> str:
    """What tables call a method."""
    return LABELS.get(name) or TRANSFER_LABELS.get(name) or SCRATCH_LABELS.get(name) or label_of(name)


def tasks() -> Iterator[str]:
    """Scale, name, what it is, and the tables that have it."""
    for scale in ("embedded", "real", "paper"):
        standing: dict[str, list[str]] = {}
        for table_name, table in TABLES.items():
            for name in getattr(table.tasks, scale):
                standing.setdefault(name, []).append(table_name)
        for name, where in standing.items():
            yield f"{scale:10}{name:60}{_task(name)} [{', '.join(where)}]"
    yield f"{'local':10}{'imagefolder:DIR':60}your images: DIR/train and DIR/test (or val), one folder a class in each"
    for name, task in PACKAGED.items():
        yield f"{'local':10}{PREFIX + name:60}{task.source}"


def _task(name: str) -> str:
    if SIGN in name:
        return "a group: learned together or in turn"
    if "->" in name:
        return "from the labels of one domain to another"
    if name in REAL:
        return f"at most 500 training images of {PREFIX}{name.removeprefix(REAL_PREFIX)}"
    if name in CATALOGUE:
        return CATALOGUE[name].title
    return told_of(name) if name in ALL_TASKS else "scenes, drawn or PASCAL VOC"


def nets() -> Iterator[str]:
    """Scale, name, and where its weights come from."""
    for name in SLIM:
        yield f"{'embedded':10}{name:24}narrow, pre-trained here when a run needs it"
    for name, weights in REAL_WEIGHTS.items():
        yield f"{'real':10}{name:24}ImageNet, {weights}"
    for name, weights in PAPER_WEIGHTS.items():
        yield f"{'paper':10}{name:24}ImageNet, {weights}"
    count = len(list_backbones())
    yield f"{'local':10}{'any':24}{count} nets of timm and torchvision, all of delta_core.list_backbones()"


def data(data_root: Path) -> Iterator[str]:
    """Official data sets, those of packages, drawn ones: whether they are here, what they are, size, licence."""
    yield from official_data(data_root)
    for name, task in PACKAGED.items():
        missing = missing_packages(task.packages)
        state = f"pip install {' '.join(missing)}" if missing else "there"
        yield f"{PREFIX + name:27}{state:9}{task.source}"
    for name in ALL_TASKS:
        yield f"{name:27}{'drawn':9}{told_of(name)}"


def official_data(data_root: Path) -> Iterator[str]:
    """A line for each data set of the catalogue."""
    for entry in CATALOGUE.values():
        state = "there" if is_there(entry, data_root) else "missing" if entry.downloads else "by hand"
        counts = ", ".join(f"{split} {count:,}" for split, count in entry.counts.items())
        yield f"{entry.name:27}{state:9}{entry.title}: {entry.classes:,} classes, {counts}; {entry.licence}"


def _first_line(documented: object) -> str:
    return (inspect.getdoc(documented) or "").partition("\n")[0]
