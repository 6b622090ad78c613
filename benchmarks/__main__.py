"""`python -m benchmarks`."""

from delta_core.training.process import quick_start

if __name__ == "__main__":  # a worker that is spawned imports this file, too
    with quick_start():
        from benchmarks import cli
    cli.main()
