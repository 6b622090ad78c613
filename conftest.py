"""What pytest leaves out here: modules that need mmengine, which only `nox -s openmmlab` installs."""

from importlib.util import find_spec

collect_ignore = [] if find_spec("mmengine") else ["delta_core/openmmlab.py", "benchmarks/suites/dense/runner.py"]
