"""Every table by name, and the runs that a user's options leave of it. Runs know nothing of tables: 2 and 10 share."""

from importlib import import_module

from benchmarks.records.rows import Scale
from benchmarks.spec import MethodFacts, Run
from benchmarks.suites.base import Table
from benchmarks.suites.execute import SUITES
from benchmarks.worlds.options import Options
from benchmarks.worlds.world import World
from delta_core.nearest import nearest, unknown
from delta_core.training.errors import UserError


def _place(name: str) -> tuple[bool, int, str]:
    """Tables of the paper by number, then the rest by name."""
    number = name.removeprefix("table")
    return (not number.isdigit(), int(number) if number.isdigit() else 0, name)


_FOUND: dict[str, Table] = {
    name: table for suite in SUITES for name, table in import_module(f"benchmarks.suites.{suite}.table").TABLES.items()
}
TABLES = {name: _FOUND[name] for name in sorted(_FOUND, key=_place)}
"""Of all suites."""
PLAIN = "plain"
"""How the command line calls the arm of a method that has no name of its own."""


def table_of(name: str) -> Table:
    """A table by name.

    Raises:
        UserError: for a name that is not known.
    """
    if name not in TABLES:
        raise UserError(unknown("Table", name, TABLES, "python -m benchmarks list tables"))
    return TABLES[name]


def tables_at(scale: Scale) -> list[str]:
    """Names of the tables that a scale has."""
    return [name for name, table in TABLES.items() if scale != "real" or table.tasks.real]


def runs_of(options: Options, world: World) -> list[Run]:
    """Runs of the table that the options name, filtered by method, and of those the shard's share.

    Raises:
        UserError: for an unknown table or method.
    """
    table = table_of(options.table)
    if options.devices_per_run > 1 and not table.shares_devices:
        raise UserError(
            f"--devices-per-run is {options.devices_per_run}, but losses of {options.table} are no means over images, "
            "which several devices could share; leave it out: each device does runs of its own."
        )
    runs = list(table.runs(world, options.seeds))
    if not options.method:
        return runs[options.share()]
    own = dict.fromkeys(name for run in runs for name in _names(run.method))
    joining = set(options.method) - set(own)
    further = table.more(world, options.seeds) if table.more and joining else ()
    known = own | dict.fromkeys(name for run in further for name in _names(run.method))
    for name in options.method:
        if name not in known:
            here = f"nearest there: {', '.join(nearest(name, known))}" if known else "it has no runs yet"
            told = f"--method {name} is not in {options.table}; {here}; python -m benchmarks list methods lists all."
            raise UserError(" ".join([told, *table.awaited(world)]))
    named = [
        *(run for run in runs if set(options.method) & set(_names(run.method))),
        *(run for run in further if joining & set(_names(run.method))),
    ]
    return named[options.share()]


def _names(method: MethodFacts) -> tuple[str, ...]:
    """What selects a method on the command line: its name, and its name with the arm."""
    return (method.name, f"{method.name}:{method.variant or PLAIN}")
