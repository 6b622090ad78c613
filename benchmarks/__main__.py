"""`python -m benchmarks`."""

import sys

from delta_core.training.command_line import told_in_one_sentence
from delta_core.training.interrupts import end_at_once
from delta_core.training.process import quick_start

PROG = "python -m benchmarks"

if __name__ == "__main__":  # a worker that is spawned imports this file, too
    end_at_once(PROG, "start it again.")
    if sys.argv[1:2] == ["collect"]:  # in a sixth of the time that the others take to start
        from benchmarks.records.collecting import main

        main(PROG)
    if sys.argv[1:2] == ["run"]:
        from benchmarks.grid.fork_server import measures_here, process_context

        if measures_here(sys.argv[2:]):
            process_context()  # what processes of the grid need is imported beside what this one does
    with told_in_one_sentence(PROG), quick_start():
        from benchmarks import cli
    cli.main()
