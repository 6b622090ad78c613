"""What pytest does not look into for doctests: what cannot be imported here, or should not be."""

from importlib.util import find_spec

NEED_MMENGINE = [  # which only `nox -s openmmlab` installs
    "delta_core/openmmlab",
    "tests/support/mmengine_toy.py",
    "benchmarks/suites/dense/box_scores.py",
    "benchmarks/suites/dense/boxes.py",
    "benchmarks/suites/dense/dense_runner.py",
    "benchmarks/suites/dense/log_hook.py",
    "benchmarks/suites/dense/mask_preprocessor.py",
    "benchmarks/suites/dense/mask_scores.py",
    "benchmarks/suites/dense/masks.py",
    "benchmarks/suites/dense/pictures.py",
    "benchmarks/suites/dense/progress.py",
    "benchmarks/suites/dense/runner.py",
    "benchmarks/suites/dense/settled.py",
    "benchmarks/suites/dense/shared.py",
    "benchmarks/suites/dense/slim_backbone.py",
]
NEED_TRITON = ["delta_core/skip_sum_triton.py", "tests/delta_core/kernels_in_interpreter.py"]  # none for Macs
TAKE_A_MINUTE = ["tests/support/slow_import.py"]
collect_ignore = [
    *TAKE_A_MINUTE,
    *([] if find_spec("mmengine") else NEED_MMENGINE),
    *([] if find_spec("triton") else NEED_TRITON),
]
