"""One row, of nothing."""

from benchmarks.env import Env
from benchmarks.methods.base import Measurement, Outcome
from benchmarks.perf.no_work.spec import NoWork
from benchmarks.perf.synthetic_rows import BACKBONE, ORIGIN
from benchmarks.records.rows import Row
from benchmarks.suites.to_rows import rows_of


def execute(run: NoWork, env: Env) -> list[Row]:  # noqa: ARG001
    """Measure nothing."""
    outcome = Outcome(
        measurements=(Measurement(column="none", split="test", value=50.0, n_examples=10),),
        params_delta=0,
        params_head=0,
        steps=0,
        train_s=0.0,
        backbone_sha_after=BACKBONE,
        base_logits_equal=True,
    )
    return rows_of(
        run,
        outcome,
        backbone_sha_before=BACKBONE,
        params_backbone=0,
        data_sha="",
        transform="",
        elapsed_s=0.0,
        origin=ORIGIN,
    )
