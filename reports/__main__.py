"""`python -m reports`."""

from delta_core.training.command_line import told_in_one_sentence

if __name__ == "__main__":
    with told_in_one_sentence("python -m reports", interrupted="start it again."):
        from reports import cli
    cli.main()
