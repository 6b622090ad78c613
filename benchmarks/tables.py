"""Tables of the paper as functions from a world to runs. Runs know nothing of tables: 2 and 10 share theirs."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from benchmarks import ablations
from benchmarks.domain_adaptation.table import TRANSFERS, open_digits, table6
from benchmarks.errors import UserError
from benchmarks.methods import DeltaNetworks, FcOnly, FineTune, Method, Paint
from benchmarks.options import Options
from benchmarks.spec import MethodFacts, Run, RunSpec
from benchmarks.studies import TABLE2_ARCHITECTURES, study_defaults
from benchmarks.transfer.runs import TRANSFER_TASKS, table5
from benchmarks.worlds import PATCHING_TASKS, TaskSet, World, open_world
from delta_core import DeltaConfig

TABLE10_MORE_ARCHITECTURES = ("resnet101", "convnext_small", "convnext_base", "convnext_large")


def table2(world: World, seeds: int) -> list[RunSpec]:
    """Table 2, single-task patching: four architectures, six tasks, Delta (1), (2), (4) against PAINT.

    FC-only and full fine-tuning are our references; the literal reading of the paper has its own rows.
    """
    return _patching(world, world.among(TABLE2_ARCHITECTURES), (1, 2, 4), seeds)


def table10(world: World, seeds: int) -> list[RunSpec]:
    """Table 10, the runs of Table 2 as top-1 pairs; at paper scale four more architectures with Delta (1)."""
    more = world.among(TABLE10_MORE_ARCHITECTURES) if world.scale == "paper" else ()
    return table2(world, seeds) + _patching(world, more, (1,), seeds)


@dataclass(frozen=True, kw_only=True)
class Table:
    """What `delta-bench run NAME` measures."""

    runs: Callable[[World, int], Sequence[Run]]
    """World and number of seeds -> runs."""
    tasks: TaskSet = PATCHING_TASKS
    open_world: Callable[[Options, TaskSet], World] = open_world
    """What a scale offers to this table."""


TABLES: dict[str, Table] = {
    "table2": Table(runs=table2),
    "table5": Table(runs=table5, tasks=TRANSFER_TASKS),
    "table6": Table(runs=table6, tasks=TRANSFERS, open_world=open_digits),
    "table10": Table(runs=table10),
    "study_defaults": Table(runs=study_defaults),
    "table8": Table(runs=ablations.table8, tasks=ablations.TABLE8_TASKS),
    "ablation": Table(runs=ablations.ablation, tasks=ablations.TABLE8_TASKS),
    "table12": Table(runs=ablations.table12, tasks=ablations.TABLE12_TASKS),
    "table13": Table(runs=ablations.table13, tasks=ablations.TABLE13_TASKS),
    "figures": Table(runs=ablations.figures, tasks=ablations.FIGURE_TASKS),
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
    runs = table_of(options.table).runs(world, options.seeds)
    known = dict.fromkeys(name for run in runs for name in _names(run.method))
    for name in options.method:
        if name not in known:
            raise UserError(f"--method {name} is not in {options.table}; choose from {', '.join(known)}.")
    return [run for run in runs if not options.method or set(options.method) & set(_names(run.method))]


def _names(method: MethodFacts) -> tuple[str, ...]:
    """What selects a method on the command line: its name, and its name with the arm."""
    return (method.name, f"{method.name}:{method.variant}") if method.variant else (method.name,)


def _patching(world: World, architectures: Iterable[str], modules: tuple[int, ...], seeds: int) -> list[RunSpec]:
    return [
        RunSpec(
            scale=world.scale,
            architecture=architecture,
            weights=world.weights[architecture],
            task=task,
            data=data,
            base_task=world.base_task,
            base_data=world.base_data,
            method=method,
            image_size=world.image_size,
            seed=seed,
        )
        for architecture in architectures
        for task, data in world.tasks.items()
        for method in _patching_methods(world, modules)
        for seed in range(seeds)
    ]


def _patching_methods(world: World, modules: tuple[int, ...]) -> list[Method]:
    recipes = world.recipes
    return [
        FcOnly(recipe=recipes.head),
        *(Paint(recipe=recipe) for recipe in recipes.paint),
        *([FineTune(recipe=recipes.finetune)] if recipes.finetune else []),
        *(
            DeltaNetworks(recipe=recipes.delta_paper, config=DeltaConfig.paper(n_modules=n), reading="paper")
            for n in modules
        ),
        *(DeltaNetworks(recipe=recipes.delta, config=DeltaConfig(n_modules=n), reading="default") for n in modules),
    ]
