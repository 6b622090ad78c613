"""Command line: `python -m benchmarks.perf forward_patches` measures in a process of its own."""

import sys

from benchmarks.perf.command import command
from benchmarks.perf.paired import in_fresh_process
from delta_core.training.errors import UserError


def main() -> None:
    """Entry point; bad input gives one sentence and exit code 2."""
    try:
        in_fresh_process(command)  # a process starts with the allocator that the suite's workers have
    except UserError as error:
        print(error, file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
