"""The one lock of the results folder of a scale: whoever changes what lies there holds it from reading to writing."""

from contextlib import AbstractContextManager
from pathlib import Path

from delta_core.training.lock import locked


def locked_results(results: Path) -> AbstractContextManager[None]:
    """Hold it. Readers do without, so that folders of others, and such as cannot be written, can be read."""
    return locked(results / ".lock", waiting_for=f"the results in {results}")
