"""`python -m benchmarks`."""

from delta_core.training.command_line import told_in_one_sentence
from delta_core.training.interrupts import end_at_once
from delta_core.training.process import quick_start

if __name__ == "__main__":  # a worker that is spawned imports this file, too
    end_at_once("python -m benchmarks", "start it again.")
    with told_in_one_sentence("python -m benchmarks"), quick_start():
        from benchmarks import cli
    cli.main()
