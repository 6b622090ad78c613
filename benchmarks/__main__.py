"""`python -m benchmarks`."""

from delta_core.training.command_line import told_in_one_sentence
from delta_core.training.process import quick_start

if __name__ == "__main__":  # a worker that is spawned imports this file, too
    with told_in_one_sentence("python -m benchmarks", interrupted="start it again."), quick_start():
        from benchmarks import cli
    cli.main()
