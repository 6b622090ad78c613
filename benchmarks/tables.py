"""Tables of the paper as functions from a world to runs. Runs know nothing of tables: 2 and 10 share theirs."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.records.gates import runs_with_gates
from benchmarks.spec import MethodFacts, Run
from benchmarks.suites.dense.table import table7
from benchmarks.suites.dense.world import DENSE_TASKS, open_dense_world
from benchmarks.suites.domain_adaptation.table import table6
from benchmarks.suites.domain_adaptation.world import TRANSFERS, open_digits
from benchmarks.suites.patching import ablations
from benchmarks.suites.patching.defaults_study import study_defaults
from benchmarks.suites.patching.table import (
    DECATHLON,
    JOINT_TASKS,
    PATCHING_TASKS,
    more_for_table2,
    table1,
    table2,
    table3,
    table10,
)
from benchmarks.suites.sequence.table import SEQUENCES, more_for_table4, table4
from benchmarks.suites.transfer.table import TRANSFER_TASKS, table5
from benchmarks.worlds.open import open_world
from benchmarks.worlds.options import Options
from benchmarks.worlds.world import TaskSet, World
from delta_core.training.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Table:
    """What `python -m benchmarks run NAME` measures."""

    runs: Callable[[World, int], Sequence[Run]]
    """World and number of seeds -> runs."""
    tasks: TaskSet = PATCHING_TASKS
    open_world: Callable[[Options, TaskSet], World] = open_world
    """What a scale offers to this table."""
    more: Callable[[World, int], Sequence[Run]] | None = None
    """Runs of further methods, which are measured only if --method names them."""
    on_record: Callable[[Path], Collection[str]] = lambda _: ()
    """Results folder of a scale -> runs that count as measured without a record, as in a fresh clone: figures are drawn
    from the gates that were committed with the rows, tables are measured."""


TABLES: dict[str, Table] = {
    "table1": Table(runs=table1, tasks=DECATHLON),
    "table2": Table(runs=table2, more=more_for_table2),
    "table3": Table(runs=table3, tasks=JOINT_TASKS, more=more_for_table2),
    "table4": Table(runs=table4, tasks=SEQUENCES, more=more_for_table4),
    "table5": Table(runs=table5, tasks=TRANSFER_TASKS),
    "table6": Table(runs=table6, tasks=TRANSFERS, open_world=open_digits),
    "table7": Table(runs=table7, tasks=DENSE_TASKS, open_world=open_dense_world),
    "table10": Table(runs=table10, more=more_for_table2),
    "table11": Table(runs=table4, tasks=SEQUENCES, more=more_for_table4),
    "study_defaults": Table(runs=study_defaults),
    "table8": Table(runs=ablations.table8, tasks=ablations.TABLE8_TASKS),
    "ablation": Table(runs=ablations.ablation, tasks=ablations.TABLE8_TASKS),
    "table12": Table(runs=ablations.table12, tasks=ablations.TABLE12_TASKS),
    "table13": Table(runs=ablations.table13, tasks=ablations.TABLE13_TASKS),
    "figures": Table(runs=ablations.figures, tasks=ablations.FIGURE_TASKS, on_record=runs_with_gates),
}


def table_of(name: str) -> Table:
    """A table by name.

    Raises:
        UserError: for a name that is not known.
    """
    if name not in TABLES:
        raise UserError(f"Table {name!r} is not known; choose one of {', '.join(TABLES)}.")
    return TABLES[name]


def runs_of(options: Options, world: World) -> list[Run]:
    """Runs of the table that the options name, filtered by method.

    Raises:
        UserError: for an unknown table or method.
    """
    table = table_of(options.table)
    runs = list(table.runs(world, options.seeds))
    if not options.method:
        return runs
    own = dict.fromkeys(name for run in runs for name in _names(run.method))
    joining = set(options.method) - set(own)
    further = table.more(world, options.seeds) if table.more and joining else ()
    known = own | dict.fromkeys(name for run in further for name in _names(run.method))
    for name in options.method:
        if name not in known:
            raise UserError(f"--method {name} is not in {options.table}; choose from {', '.join(known)}.")
    return [
        *(run for run in runs if set(options.method) & set(_names(run.method))),
        *(run for run in further if joining & set(_names(run.method))),
    ]


def _names(method: MethodFacts) -> tuple[str, ...]:
    """What selects a method on the command line: its name, and its name with the arm."""
    return (method.name, f"{method.name}:{method.variant}") if method.variant else (method.name,)
