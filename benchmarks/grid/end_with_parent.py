"""The server of a grid's processes imports this first: from then on it is gone as soon as its parent is.

It would else import to the end before it looks, for seconds. Linux alone tells a process that its parent ended.
"""

import ctypes
import signal

PR_SET_PDEATHSIG = 1
"""prctl(2); what the server forks does not inherit it."""

ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
