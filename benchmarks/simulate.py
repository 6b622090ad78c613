"""`python -m benchmarks simulate`: how long runs on record would take on other numbers of devices."""

from dataclasses import replace

import tyro

from benchmarks.grid.simulation import jobs_of, schedule
from benchmarks.records.collected import rows_so_far
from benchmarks.records.names import BASE
from benchmarks.tables import runs_of, table_of
from benchmarks.worlds.options import Options
from delta_core.training.errors import check_counts

DEVICES = (1, 8, 64, 512)


def simulate(
    options: tyro.conf.OmitArgPrefixes[Options],
    *,
    devices: tyro.conf.UseAppendAction[tuple[int, ...]] = (),
    between_s: float = 0.0,
) -> int:
    """Print time, efficiency and the run that ends last, for each number of devices, as a table in Markdown.

    Args:
        options: which runs; of `all`, every run on record at the scale.
        devices: of one speed, each like the one that measured the rows; may be repeated. Default: 1, 8, 64 and 512.
        between_s: seconds that a device needs beside each run.
    """
    for count in devices:
        check_counts(devices=count)
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
    for count in devices or DEVICES:
        found = schedule(jobs, count, between_s=between_s)
        hours, at_best = found.makespan_s / 3600, found.bound_s / 3600
        print(f"| {count} | {hours:.3f} | {found.efficiency:.2f} | {at_best:.3f} | {found.last.name} |")
    print(f"\n{len(jobs)} runs of {sum(job.seconds for job in jobs) / 3600:.2f} hours in all.")
    return 0
