"""`delta-patch`, which the extra `train` brings to life."""

import sys
from importlib.util import find_spec

from delta_core.training.process import quick_start

OF_TRAIN = ("PIL", "lightning_fabric", "matplotlib", "numpy", "pandas", "rich", "torchmetrics", "tyro")
"""What the packages of the extra are called when they are imported."""


def main() -> None:
    """Entry point; without a package of the extra one sentence that says how to get it, and exit code 2."""
    # Looked for, not tried: some are imported late, and an import may fail for reasons that no installing mends.
    missing = next((name for name in OF_TRAIN if find_spec(name) is None), None)
    if missing:
        print(
            f"delta-patch: the package {missing} is missing; run: pip install 'delta-patching[train]'", file=sys.stderr
        )
        sys.exit(2)
    with quick_start():
        from delta_core.tool import cli
    cli.main()


if __name__ == "__main__":
    main()
