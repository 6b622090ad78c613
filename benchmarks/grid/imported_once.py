"""What the server of a grid's processes imports before it forks the first one, and why a process starts at once."""

from delta_core.training.process import quick_start

with quick_start():
    import benchmarks.cli
    import benchmarks.suites.patching.runner  # noqa: F401 - runners are imported late, this one brings what most need
