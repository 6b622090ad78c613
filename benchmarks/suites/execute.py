"""Which function measures which kind of run."""

from benchmarks.env import Env
from benchmarks.records.rows import Row
from benchmarks.spec import Run
from benchmarks.suites.dense.spec import DenseRun
from benchmarks.suites.domain_adaptation import runner as domain_adaptation
from benchmarks.suites.domain_adaptation.spec import DomainSpec
from benchmarks.suites.patching import runner as patching
from benchmarks.suites.patching.spec import RunSpec
from benchmarks.suites.sequence import runner as sequences
from benchmarks.suites.sequence.spec import SequenceSpec
from benchmarks.suites.transfer import runner as transfer
from benchmarks.suites.transfer.spec import TransferSpec


def execute(run: Run, env: Env) -> list[Row]:
    """Measure one run; returns all of its rows."""
    match run:
        case RunSpec():
            return patching.execute(run, env)
        case SequenceSpec():
            return sequences.execute(run, env)
        case TransferSpec():
            return transfer.execute(run, env)
        case DomainSpec():
            return domain_adaptation.execute(run, env)
        case DenseRun():
            from benchmarks.suites.dense import (
                runner as train,  # needs OpenMMLab, which stands in an environment of its own
            )

            return train.measure(run, env)
    raise TypeError(f"Nothing measures a {type(run).__name__}.")
