"""Faults put into the suite on purpose, and what came of them: `python -m tests.faults` (nox -s faults)."""
