"""Helpers of the tests are imported by name, wherever a test lies and whatever is installed."""

import signal
import sys
from pathlib import Path

from hypothesis import settings

# A busy machine is no failure.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")

# A shell without job control has what it starts in the background ignore Ctrl-C, and tests send it to what they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

sys.path.insert(0, str(Path(__file__).parent / "support"))
