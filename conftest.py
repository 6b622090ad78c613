"""What pytest leaves out here: modules that need mmengine, which only `nox -s openmmlab` installs."""

from importlib.util import find_spec

NEED_MMENGINE = [
    "delta_core/openmmlab",
    "tests/support/mmengine_toy.py",
    "benchmarks/suites/dense/boxes.py",
    "benchmarks/suites/dense/dense_runner.py",
    "benchmarks/suites/dense/log_hook.py",
    "benchmarks/suites/dense/masks.py",
    "benchmarks/suites/dense/pictures.py",
    "benchmarks/suites/dense/progress.py",
    "benchmarks/suites/dense/runner.py",
    "benchmarks/suites/dense/settled.py",
    "benchmarks/suites/dense/shared.py",
    "benchmarks/suites/dense/slim_backbone.py",
]
collect_ignore = [] if find_spec("mmengine") else NEED_MMENGINE
