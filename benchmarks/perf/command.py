"""What `python -m benchmarks.perf NAME...` does: measure, print, write results/perf/<name>.csv and one picture."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
import tyro

from benchmarks.perf import (
    adapters,
    compiled,
    folded,
    forward_patches,
    grids,
    growth,
    inference,
    peers,
    pixels,
    reports,
    rounding,
    skip_sums,
    starts,
    stored_features,
    time_to_accuracy,
    training,
)
from benchmarks.perf.figure import draw_curves, draw_ratios
from benchmarks.perf.rows import PerfRow, write_perf_rows
from delta_core.nearest import unknown
from delta_core.training.errors import UserError, check_counts

Names = tyro.conf.UseAppendAction[tuple[str, ...]]

MEASUREMENTS: dict[str, Callable[..., list[PerfRow]]] = {
    "forward_patches": forward_patches.measure,
    "epoch": training.measure_epoch,
    "step": training.measure_step,
    "memory": training.measure_memory,
    "latency": inference.measure_latency,
    "peers": peers.measure,
    "reports": reports.measure,
    "compiled": compiled.measure,
    "folded": folded.measure,
    "skip_sums": skip_sums.measure,
    "adapters": adapters.measure,
    "grids": grids.measure_overhead,
    "records": grids.measure_records,
    "growth": growth.measure,
    "starts": starts.measure,
    "stored_features": stored_features.measure,
    "rounding": rounding.measure,
}
ON_DEVICE = ("adapters", "compiled", "epoch", "folded", "step", "memory", "latency", "peers", "skip_sums")
"""Those that run on any device; the others speak of CPUs."""


def perf(
    names: tyro.conf.Positional[tuple[str, ...]] = (),
    *,
    repetitions: int = 9,
    threads: int = 1,
    device: str = "cpu",
    data_root: Path | None = None,
    arch: Names = (),
    image_size: int = 96,
    results: Path = Path("results"),
) -> None:
    """Measure costs of the library against references, side by side.

    Args:
        names: measurements to make; if none is named all, time_to_accuracy and pixels only with --data-root.
        repetitions: paired repetitions; a row states their medians.
        threads: threads of torch; one is disturbed least by other processes.
        device: cpu or cuda, for adapters, compiled, epoch, folded, step, memory, latency, peers, skip_sums.
        data_root: folder with real images, for time_to_accuracy and pixels.
        arch: full-size timm net, for adapters; may be repeated. Default: EfficientNet-Lite0.
        image_size: input size in pixels, for adapters.
        results: folder for perf/<name>.csv.
    """
    measurements = MEASUREMENTS | {
        "adapters": partial(adapters.measure, architectures=arch or adapters.ARCHITECTURES, image_px=image_size),
        "time_to_accuracy": partial(time_to_accuracy.measure, data_root=data_root, results=results),
        "pixels": partial(pixels.measure, data_root=data_root),
    }
    check_counts(image_size=image_size)
    foreign = [name for name in names if name not in measurements]
    if foreign:
        raise UserError(unknown("Measurement", foreign[0], measurements, "python -m benchmarks.perf --help"))
    if repetitions < 1 or threads < 1:
        raise UserError(f"--repetitions is {repetitions} and --threads {threads}; give whole numbers of at least 1.")
    torch.set_num_threads(threads)
    for name in names or (measurements if data_root else MEASUREMENTS):
        where = {"device": device} if name in ON_DEVICE else {}
        rows = measurements[name](repetitions=repetitions, **where)
        path = results / "perf" / f"{name}.csv"
        write_perf_rows(path, rows)
        for row in rows:
            print(
                f"{row.name}: {row.ratio:.3f} (IQR {row.spread:.3f}, n {row.n}"
                f"{'' if row.flop_ratio is None else f', FLOPs {row.flop_ratio:.3f}'}), "
                f"ours {row.ours:.4g} {row.unit}, reference {row.reference:.4g} {row.unit}"
            )
        print(path, flush=True)
    figure = results / "perf" / "ratios.svg"
    draw_ratios(sorted(path for path in figure.parent.glob("*.csv") if not path.stem.endswith("_curves"))).savefig(
        figure
    )
    print(figure)
    curves = results / "perf" / "time_to_accuracy_curves.csv"
    if curves.exists():
        draw_curves(curves).savefig(curves.with_suffix(".svg"))
        print(curves.with_suffix(".svg"))


def command() -> None:
    """Parse the command line and measure."""
    tyro.cli(perf, prog="python -m benchmarks.perf")
