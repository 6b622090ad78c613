"""The experiments of the paper, a folder each: spec.py, table.py, runner.py."""
