"""Helpers of the tests are imported by name, wherever a test lies and whatever is installed."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "support"))
