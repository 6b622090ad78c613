"""The suites, and which function measures which run. A new suite is a folder like the others and its name here."""

from collections.abc import Callable
from importlib import import_module

from benchmarks.env import Env
from benchmarks.records.rows import Row
from benchmarks.spec import Run

SUITES = ("patching", "sequence", "transfer", "domain_adaptation", "dense")
"""Folders beside this file. In each: spec.py, the class of its runs; table.py with `TABLES`, name -> `base.Table`;
runner.py with `execute(run, env)`, which returns the rows of one run."""


def execute(run: Run, env: Env) -> list[Row]:
    """Measure one run by the runner that stands beside its spec; returns all of its rows.

    A runner is imported when its first run starts: that of detection and segmentation needs OpenMMLab, which stands in
    an environment of its own.
    """
    folder = type(run).__module__.rpartition(".")[0]
    measure: Callable[[Run, Env], list[Row]] = import_module(f"{folder}.runner").execute
    return measure(run, env)
