"""`delta-patch`."""

from delta_core.training.process import quick_start


def main() -> None:
    """Entry point."""
    with quick_start():
        from delta_core.tool import cli
    cli.main()


if __name__ == "__main__":
    main()
