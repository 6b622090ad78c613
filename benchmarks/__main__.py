"""`delta-bench`: a start that is quick."""

import gc


def main() -> None:
    """Entry point: torch is imported with the garbage collector at rest, and what it brought is never searched again.

    Its modules hold a million objects that live as long as the process; to walk them while more are imported, and once
    more at the end, takes as long as the imports themselves.
    """
    gc.disable()
    from benchmarks import cli

    gc.freeze()
    gc.enable()
    cli.main()


if __name__ == "__main__":
    main()
