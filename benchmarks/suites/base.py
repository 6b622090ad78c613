"""What a table is to the command line: runs of a suite, described from a world."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.spec import Run
from benchmarks.worlds.open import open_world
from benchmarks.worlds.options import Options
from benchmarks.worlds.world import TaskSet, World


@dataclass(frozen=True, kw_only=True)
class Table:
    """What `run NAME` measures. A suite names its own in `TABLES` of its table.py."""

    runs: Callable[[World, int], Sequence[Run]]
    """World and number of seeds -> runs."""
    tasks: TaskSet
    open_world: Callable[[Options, TaskSet], World] = open_world
    """What a scale offers to this table."""
    more: Callable[[World, int], Sequence[Run]] | None = None
    """Runs of further methods, which are measured only if --method names them."""
    awaited: Callable[[World], Sequence[str]] = lambda _: ()
    """What must be measured before all runs can be described, a sentence each; empty for a table that needs nothing."""
    shares_devices: bool = True
    """Whether several devices may share a run: batches can be dealt, as a mean over images can."""
    on_record: Callable[[Path], Collection[str]] = lambda _: ()
    """Results folder of a scale -> runs that count as measured without a record, as in a fresh clone: figures are drawn
    from the gates that were committed with the rows, tables are measured."""
