"""`delta-patch`, which the extra `train` brings to life."""

import sys

from delta_core.training.interrupts import end_at_once
from delta_core.training.process import missing_extra, quick_start


def main() -> None:
    """Entry point; without a package of the extra one sentence that says how to get it, and exit code 2."""
    end_at_once("delta-patch", "start it again.")
    missing = missing_extra()
    if missing:
        print(f"delta-patch: {missing}", file=sys.stderr)
        sys.exit(2)
    with quick_start():
        from delta_core.tool import cli
    cli.main()


if __name__ == "__main__":
    main()
