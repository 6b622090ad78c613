"""Which function measures which kind of run."""

from benchmarks import patching, sequences
from benchmarks.env import Env
from benchmarks.record import Row
from benchmarks.spec import Run, RunSpec, SequenceSpec


def execute(run: Run, env: Env) -> list[Row]:
    """Measure one run; returns all of its rows."""
    match run:
        case RunSpec():
            return patching.execute(run, env)
        case SequenceSpec():
            return sequences.execute(run, env)
    raise TypeError(f"Nothing measures a {type(run).__name__}.")
