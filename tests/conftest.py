"""Helpers of the tests are imported by name, wherever a test lies and whatever is installed."""

import sys
from pathlib import Path

from hypothesis import settings

# A busy machine is no failure.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")

sys.path.insert(0, str(Path(__file__).parent / "support"))
