"""`python -m benchmarks simulate`: how long runs on record would take on other numbers of devices."""

from dataclasses import replace
from pathlib import Path

import tyro

from benchmarks.grid.simulation import jobs_of, schedule
from benchmarks.grid.simulation_figure import draw
from benchmarks.records.collected import rows_so_far
from benchmarks.records.names import BASE
from benchmarks.tables import runs_of, table_of
from benchmarks.worlds.options import Options
from delta_core.training.errors import UserError, check_counts
from delta_core.training.whole_files import whole_file

DEVICES = (1, 8, 64, 512)
KINDS = (".svg", ".png", ".pdf")
"""Of pictures."""


def simulate(
    options: tyro.conf.OmitArgPrefixes[Options],
    *,
    devices: tyro.conf.UseAppendAction[tuple[int, ...]] = (),
    between_s: float = 0.0,
    figure: Path | None = None,
) -> int:
    """Print time, efficiency and the run that ends last, for each number of devices, as a table in Markdown.

    Args:
        options: which runs; of `all`, every run on record at the scale.
        devices: of one speed, each like the one that measured the rows; may be repeated. Default: 1, 8, 64 and 512.
        between_s: seconds that a device needs beside each run.
        figure: where a picture of the table goes, e.g. scale-out.svg.
    """
    for count in devices:
        check_counts(devices=count)
    if figure is not None and figure.suffix not in KINDS:
        raise UserError(f"--figure is {str(figure)!r}; give a file that ends in {', '.join(KINDS)}.")
    options = replace(options, dry_run=True)
    rows = rows_so_far(options.results / options.scale)
    if options.table != "all":
        table = table_of(options.table)
        chosen = {run.run_id for run in runs_of(options, table.open_world(options, table.tasks))}
        of_table = rows["run_id"].isin(chosen)
        rows = rows[of_table | ((rows["suite"] == BASE) & rows["weights"].isin(rows.loc[of_table, "weights"]))]
    jobs = jobs_of(rows)
    print("| devices | hours | efficiency | at best, hours | ends last |")
    print("|---:|---:|---:|---:|---|")
    schedules = [schedule(jobs, count, between_s=between_s) for count in devices or DEVICES]
    for found in schedules:
        hours, at_best = found.makespan_s / 3600, found.bound_s / 3600
        print(f"| {found.devices} | {hours:.3f} | {found.efficiency:.2f} | {at_best:.3f} | {found.last.name} |")
    if figure is not None:
        with whole_file(figure) as partial:
            draw(schedules).savefig(partial, format=figure.suffix.removeprefix("."))
    print(f"\n{len(jobs)} runs of {sum(job.seconds for job in jobs) / 3600:.2f} hours in all.")
    return 0
