"""Command line of the runners: plan, run, status, collect, list what there is, fetch data, and rehearse."""

import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import tyro
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.choices import list_choices
from benchmarks.fetch import fetch_data
from benchmarks.forget import forget_runs
from benchmarks.grid.board import told_of_drivers
from benchmarks.grid.cost import cost_of
from benchmarks.grid.memory import Memory, memory_of
from benchmarks.grid.plan import Planned, check_inputs, plan
from benchmarks.grid.pool import Pool, run_all
from benchmarks.grid.reproduce import Sample, SelfContained, keep, reproduce
from benchmarks.grid.storage import check_room, storage_of
from benchmarks.grid.work import Result
from benchmarks.nets.pretraining import BaseSpec
from benchmarks.records.collected import collect, is_of_version_1, read_rows, runs_path
from benchmarks.records.collecting import collect_rows, collected
from benchmarks.records.gates import collect_gates
from benchmarks.records.names import BASE, BASE_AGREEMENT
from benchmarks.records.record_files import files_of_runs
from benchmarks.records.rows import Row
from benchmarks.rehearsal.command import rehearse
from benchmarks.simulate import simulate
from benchmarks.spec import Run, describe
from benchmarks.tables import runs_of, table_of, tables_at
from benchmarks.worlds.options import Options
from benchmarks.worlds.world import World
from delta_core.training.command_line import dispatch, told_in_one_sentence
from delta_core.training.errors import UserError, check_counts, check_precision, missing_package
from delta_core.training.fabric import devices_of
from delta_core.training.provenance import instruction_set
from delta_core.training.tensor_store import TensorStore

PROG = "python -m benchmarks"


def main() -> None:
    """What `python -m benchmarks` does; bad input gives one sentence and exit code 2."""
    commands: dict[str, Callable[..., int]] = {
        "plan": show_plan,
        "run": run,
        "status": status,
        "collect": collect_rows,
        "forget": forget_runs,
        "reproduce": reproduce_sample,
        "fetch": fetch_data,
        "simulate": simulate,
        "rehearse": rehearse,
        "list": list_choices,
    }
    with told_in_one_sentence(PROG, interrupted="finished runs are kept, start again to go on."):
        sys.exit(dispatch(commands, prog=PROG, description=__doc__))


def show_plan(options: tyro.conf.OmitArgPrefixes[Options], *, memory: bool = False) -> int:
    """List the runs of a table, or of `all`: done, to do, or blocked with what unblocks them.

    Args:
        options: which runs.
        memory: tell what each run takes of a device's memory, too (scale paper); seconds for each net and method.
    """
    console = _console()
    if memory and options.scale != "paper":
        raise UserError(f"--memory is for --scale paper, whose nets fill a GPU; leave it at --scale {options.scale}.")
    options = replace(options, dry_run=True)
    todo: dict[str, Run] = {}
    every: list[Run] = []
    for name in tables_at(options.scale) if options.table == "all" else (options.table,):
        world, planned = _planned(replace(options, table=name))
        needs: dict[str, Memory] = {}
        for item in planned:
            found = memory_of(item.run) if memory else None
            needs |= {} if found is None else {describe(item.run): found}
            told = "" if found is None else f": {found}"
            print(f"{item.state:8}{item.run.run_id}  {describe(item.run)}{told}")
        _print_totals(console, world, planned, name)
        if needs:
            largest = max(needs, key=lambda run: needs[run].total)
            console.print(f"{name}, device memory: at most {needs[largest]}, {largest}", highlight=False)
        todo |= {item.run.run_id: item.run for item in planned if item.state != "done"}
        every += [item.run for item in planned]
    if options.table == "all" and options.scale == "paper":
        console.print(f"all tables, shared runs once: {cost_of(todo.values())}", highlight=False)
        console.print(f"all tables, kept once in the cache: {storage_of(every)}", highlight=False)
    kept = TensorStore(root=options.cache / "features", limit_gb=options.cache_gb).size_bytes()
    if kept:
        console.print(f"{kept / 10**9:.2f} GB of decoded images and features in {options.cache / 'features'}")
    return 0


def run(options: tyro.conf.OmitArgPrefixes[Options]) -> int:
    """Measure what is missing of a table, then collect all rows."""
    if options.dry_run:
        return show_plan(options)
    world, planned = _planned(options)
    check_precision(options.precision, devices_of(options.device)[0])
    check_inputs(world, [item.run for item in planned if item.state == "todo"])
    if world.scale == "paper":
        check_room([item.run for item in planned], options.cache_gb)
    console = _console()
    _print_totals(console, world, planned, options.table)
    if all(item.state == "blocked" for item in planned):
        print(f"{PROG}: Nothing of {options.table} can run here; what unblocks it is said above.", file=sys.stderr)
        return 1
    try:
        failures = _measure(console, world, planned, options.workers)
    finally:  # what was measured before an interruption counts too
        frame = collect(world.env.results)
        collect_gates(world.env.results)
    console.print(collected(frame, world.env.results), highlight=False)
    if is_of_version_1(world.env.results):
        console.print(
            f"{runs_path(world.env.results)} is of schema version 1 and stays as it is; what is new lies in records/. "
            f"Put all into two tables by: python -m benchmarks collect --scale {world.scale}",
            highlight=False,
        )
    return 1 if failures else 0


@contextmanager
def _cluster(world: World, planned: list[Planned], console: Console) -> Iterator[Pool | None]:
    """The pool on the cluster that the user chose; None for this machine."""
    if world.options.cluster is None:
        yield None
        return
    try:
        from benchmarks.cluster.connect import workers_on_cluster
    except ModuleNotFoundError as error:
        raise UserError(missing_package(error) or str(error)) from error

    def tell(line: str) -> None:
        console.print(line, markup=False, highlight=False)

    todo = [item.run for item in planned if item.state == "todo"]
    with workers_on_cluster(world, todo, tell=tell) as pool:
        yield pool


def _measure(console: Console, world: World, planned: list[Planned], workers: int | None) -> int:
    """Execute what is to do, one line for each run as it ends, and what it cost; returns the number of failures."""
    todo = sum(item.state == "todo" for item in planned)
    if not todo:
        return 0
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        bar = progress.add_task("runs", total=todo)
        done = Counter[str]()

        def report(result: Result) -> None:
            done["runs"] += not (isinstance(result.job, str | BaseSpec) or result.held_by)
            progress.update(bar, completed=done["runs"])
            console.print(f"[{done['runs']}/{todo}] {_line(result)}", markup=False, highlight=False)

        with _cluster(world, planned, console) as cluster:
            tally = run_all(world, planned, workers=workers, report=report, cluster=cluster)
    console.print(
        f"{tally.busy_s:.0f} s of work in {tally.wall_s:.0f} s on {tally.workers} worker(s): "
        f"grid efficiency {tally.efficiency:.2f}",
        highlight=False,
    )
    return tally.failures


def status(options: tyro.conf.OmitArgPrefixes[Options]) -> int:
    """Count the runs of a table by state, say of which there are rows alone, who is at work where, and what failed.

    A run is done by its record, which lies on the machine that measured it. Rows also come with a clone, and from
    other machines: reports show those too.
    """
    world, planned = _planned(options)
    console = _console()
    _print_totals(console, world, planned, options.table)
    table = runs_path(world.env.results)
    with_rows = set(read_rows(world.env.results)["run_id"])
    console.print(*_by_origin(planned, with_rows, table), sep="\n", highlight=False, soft_wrap=True)
    console.print(*told_of_drivers(world.env.results), sep="\n", markup=False, highlight=False, soft_wrap=True)
    for path in files_of_runs(world.env.results, ".json", "failed"):
        console.print(f"failed  {path}", highlight=False)
    return 0


def _by_origin(planned: list[Planned], with_rows: Collection[str], table: Path) -> Iterator[str]:
    """Lines: how many runs have rows in `table`, by method, with a record of this machine or without."""
    kept = [item for item in planned if item.run.run_id in with_rows]
    rows_alone = [item for item in kept if item.state != "done"]
    yield f"{len(kept)} of them have rows in {table}, {len(rows_alone)} of these without a record on this machine"
    methods = Counter(item.run.method.name for item in planned)
    of_rows, of_records = (
        Counter(item.run.method.name for item in items)
        for items in (rows_alone, [item for item in planned if item.state == "done"])
    )
    for name, count in methods.items():
        yield f"  {name:38}{count:5} runs: {of_records[name]} with a record, {of_rows[name]} with rows alone"


def reproduce_sample(
    *,
    scale: SelfContained = "embedded",
    sample: int = 4,
    salt: str = "",
    keep_rows: Annotated[bool, tyro.conf.arg(name="keep")] = False,
    results: Path = Path("results"),
    cache: Path = Path(".cache"),
) -> int:
    """Repeat a sample of the runs on record and compare every value bit for bit, on a CPU like the one of the record.

    Args:
        scale: whose runs.
        sample: number of runs.
        salt: draws the sample, e.g. a commit.
        keep_rows: keep the sample as what CPUs like this one measure, in a folder of its own, and compare nothing.
        results: folder that holds <scale>/runs.csv.
        cache: where drawn data and pre-trained slim nets are kept.
    """
    check_counts(sample=sample)
    console = _console()
    with TemporaryDirectory() as scratch:

        def report(result: Result) -> None:
            console.print(_line(result), markup=False, highlight=False)

        drawn = Sample(
            results=results, cache=cache, scratch=Path(scratch), scale=scale, size=sample, salt=salt, report=report
        )
        if keep_rows:
            rows = runs_path(keep(drawn))
            console.print(f"rows of CPUs with {instruction_set()} are in {rows}", highlight=False)
            return 0
        differing = reproduce(drawn)
    for row in differing.itertuples():
        console.print(f"{row.run_id} {row.column} {row.split}: {row.value} on record, {row.value_now} now")
    if differing.empty:
        console.print("nothing differs", highlight=False)
        return 0
    console.print(
        f"{len(differing)} values differ. This CPU computes with {instruction_set()}; where the one of the record has "
        "other vector instructions, a training ends with other values.",
        highlight=False,
    )
    return 1


def _planned(options: Options) -> tuple[World, list[Planned]]:
    table = table_of(options.table)
    world = table.open_world(options, table.tasks)
    on_record = set(table.on_record(world.env.results))
    if options.missing_only:
        on_record |= set(read_rows(world.env.results)["run_id"])
    return world, plan(world, runs_of(options, world), on_record)


def _console() -> Console:
    return Console(width=None if sys.stdout.isatty() else 160)


def _print_totals(console: Console, world: World, planned: list[Planned], table: str) -> None:
    states = Counter(item.state for item in planned)
    counts = ", ".join(f"{states[state]} {state}" for state in ("done", "todo", "blocked"))
    console.print(f"{len(planned)} runs at scale {world.scale}: {counts}", highlight=False)
    for notice in world.notices:
        console.print(notice, markup=False, highlight=False, soft_wrap=True)
    if world.scale == "paper":
        console.print(f"{table}, not yet done: {cost_of(i.run for i in planned if i.state != 'done')}", highlight=False)
        console.print(f"{table}, kept in the cache: {storage_of(i.run for i in planned)}", highlight=False)
    blocked = (item.reason for item in planned if item.state == "blocked")
    for reason in dict.fromkeys((*blocked, *table_of(table).awaited(world))):
        console.print(f"blocked: {reason}", markup=False, highlight=False, soft_wrap=True)


def _line(result: Result) -> str:
    """One line about a job that ended: what was measured, or why not."""
    job = result.job
    if isinstance(job, str):
        return f"drew {job}"
    name = f"pre-trained {job.architecture} on {job.task}" if isinstance(job, BaseSpec) else describe(job)
    if result.held_by:
        return f"{name}: left to {result.held_by.partition(' (')[0]}, which is at it"
    if result.error:
        return f"{name}: FAILED, {result.error}"
    whole = [row for row in result.rows if not row.column.startswith(f"{row.task}/")]
    shown = [row for row in whole if row.split == "test" and row.alpha in (None, 0.5, 1.0)]
    values = ", ".join(f"{_where(row)} {row.value:.2f}" for row in shown)
    first = result.rows[0]
    proof = ""
    if not isinstance(job, BaseSpec) and first.base_logits_equal is not None:
        frozen = first.base_logits_equal and first.backbone_sha_before == first.backbone_sha_after
        proof = ", base bit-identical" if frozen else ", BASE CHANGED"
    whose = ", measured by another command" if result.elsewhere else ""
    return f"{name}: {values}{proof}{whose} ({first.train_s + first.eval_s:.1f} s)"


def _where(row: Row) -> str:
    alpha = "" if row.alpha is None else f" at alpha {row.alpha:g}"
    before = " before" if row.phase == "before" and row.suite != BASE else ""
    plus = " +bn" if row.variant.endswith("+bn") else ""
    agreement = " agreement" if row.metric == BASE_AGREEMENT else ""
    return f"{row.column}{agreement}{before}{alpha}{plus}"
