"""Measure the variance of features through depth, if that was not done yet."""

import sys
from pathlib import Path

import tyro

from benchmarks.records.variance import correlation_path, read_variances, variance_path, write_variance_rows
from delta_core.training.errors import UserError


def main(*, results: Path = Path("results"), cache: Path = Path(".cache")) -> None:
    """Write <results>/embedded/variance.csv and correlation.csv.

    The pre-trained net is that of `python -m benchmarks run figures`, which comes first.

    Args:
        results: where rows go.
        cache: where pre-trained slim nets and drawn data are kept.
    """
    folder = results / "embedded"
    if read_variances(folder) is None:
        # Only now: a second start should not wait for torch.
        from benchmarks.env import Env
        from benchmarks.variance.measure import measure_all
        from benchmarks.worlds.embedded import embedded_base

        variances, correlations = measure_all(embedded_base("resnet18").run_id, Env(results=folder, cache=cache))
        write_variance_rows(variance_path(folder), variances)
        write_variance_rows(correlation_path(folder), correlations)
    print(variance_path(folder), correlation_path(folder), sep="\n")


if __name__ == "__main__":
    try:
        tyro.cli(main)
    except UserError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
