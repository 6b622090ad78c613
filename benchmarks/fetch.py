"""`benchmarks fetch`: download official data sets, check them, list them, and free what was decoded from them."""

import sys
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn

from benchmarks.choices import official_data
from benchmarks.data.catalogue import CATALOGUE, data_set
from benchmarks.data.catalogue.check import DATA_ROOT, check, is_there
from benchmarks.data.catalogue.download import by_hand, fetch, is_cut_off
from benchmarks.data.catalogue.entry import DataSet
from benchmarks.data.catalogue.look_alikes import declared_at
from benchmarks.nets.weight_files import fetch_weights
from delta_core.training.errors import UserError
from delta_core.training.tensor_store import TensorStore


def fetch_data(
    names: tyro.conf.Positional[tuple[str, ...]] = (),
    *,
    data_root: Path = DATA_ROOT,
    weights_root: Path | None = None,
    check_only: Annotated[bool, tyro.conf.arg(name="check")] = False,
    mirror: str | None = None,
    prune: bool = False,
    cache: Path = Path(".cache"),
) -> int:
    """Download official data sets, or say what to do by hand; without a name list them all.

    Args:
        names: data sets of the catalogue, or all; or weights: the paper's bases, for machines without network.
        data_root: folder below which they lie.
        weights_root: folder into which weights are put.
        check_only: download nothing; look at what is there and name every fault.
        mirror: address of a copy of somebody's data root, tried before the official ones.
        prune: free decoded images and features of frozen nets, which are made again when they are needed.
        cache: where those are kept.
    """
    console = Console(width=None if sys.stdout.isatty() else 160)
    if prune:
        freed = TensorStore(root=cache / "features", limit_gb=0).prune()
        console.print(f"{freed / 10**9:.2f} GB freed in {cache / 'features'}", highlight=False)
    elif not names:
        for line in official_data(data_root):
            console.print(line, markup=False, highlight=False, soft_wrap=True)
    if "weights" in names:
        if weights_root is None:
            raise UserError("Weights have no folder to go to; give one: fetch weights --weights-root DIR.")
        fetch_weights(weights_root, lambda base: console.print(f"{base}: fetched", highlight=False))
        names = tuple(name for name in names if name != "weights")
    entries = [declared_at(data_set(name), data_root) for name in (CATALOGUE if names == ("all",) else names)]
    ok = [
        _checked(console, entry, data_root) if check_only else _fetched(console, entry, data_root, mirror)
        for entry in entries
    ]
    return 0 if all(ok) else 1


def _fetched(console: Console, entry: DataSet, data_root: Path, mirror: str | None) -> bool:
    if is_there(entry, data_root) and not is_cut_off(entry, data_root):
        return _checked(console, entry, data_root)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bars:
        known: dict[str, TaskID] = {}

        def progress(what: str, done: int, total: int | None) -> None:
            if what not in known:
                known[what] = bars.add_task(what)
            bars.update(known[what], completed=done, total=total)

        try:
            fetch(entry, data_root, mirror=mirror, progress=progress)
        except UserError as error:
            print(f"python -m benchmarks: {error}", file=sys.stderr)
            return False
    return _checked(console, entry, data_root)


def _checked(console: Console, entry: DataSet, data_root: Path) -> bool:
    faults = check(entry, data_root)
    for fault in faults:
        console.print(f"{entry.name}: {fault}", markup=False, highlight=False, soft_wrap=True)
    if faults:
        console.print(_remedy(entry, data_root), markup=False, highlight=False, soft_wrap=True)
    if not faults:
        counts = ", ".join(f"{split} {count:,}" for split, count in entry.counts.items())
        console.print(f"{entry.name}: {entry.classes:,} classes, {counts}: as declared", highlight=False)
    return not faults


def _remedy(entry: DataSet, data_root: Path) -> str:
    if not entry.downloads:
        return by_hand(entry, data_root)
    first = f"move {entry.at(data_root)} away, then " if is_there(entry, data_root) else ""
    return f"{entry.name}: {first}run: python -m benchmarks fetch {entry.name} --data-root {data_root}"
