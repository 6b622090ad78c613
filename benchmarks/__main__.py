"""`delta-bench`."""

from delta_core.training.process import quick_start


def main() -> None:
    """Entry point."""
    with quick_start():
        from benchmarks import cli
    cli.main()


if __name__ == "__main__":
    main()
