"""`python -m reports`."""

from delta_core.training.command_line import told_in_one_sentence
from delta_core.training.interrupts import end_at_once

if __name__ == "__main__":
    end_at_once("python -m reports", "start it again.")
    with told_in_one_sentence("python -m reports"):
        from reports import cli
    cli.main()
