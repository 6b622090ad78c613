"""Command line: `python -m benchmarks.perf forward_patches`, with the allocator that the suite's workers have."""

import os
import sys

from delta_core.training.errors import UserError
from delta_core.training.process import has_allocator, keep_freed_memory


def main() -> None:
    """Entry point; bad input gives one sentence and exit code 2."""
    if not has_allocator():  # which is read at the start of a process alone
        keep_freed_memory()
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
    from benchmarks.perf.command import command

    try:
        command()
    except UserError as error:
        print(error, file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
