"""`delta-patch`, which the extra `train` brings to life."""

import sys

from delta_core.training.process import quick_start

OF_TRAIN = ("PIL", "lightning_fabric", "matplotlib", "numpy", "pandas", "rich", "torchmetrics", "tyro")
"""What the packages of the extra are called when they are imported."""


def main() -> None:
    """Entry point; without the packages of the extra one sentence that says how to get them, and exit code 2."""
    try:
        with quick_start():
            from delta_core.tool import cli
    except ModuleNotFoundError as error:
        if error.name not in OF_TRAIN:
            raise
        print(
            f"delta-patch: the package {error.name} is missing; run: pip install 'delta-patching[train]'.",
            file=sys.stderr,
        )
        sys.exit(2)
    cli.main()


if __name__ == "__main__":
    main()
