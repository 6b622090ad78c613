"""Run trials of faults, all or some, and say what came of them; exit code 1 if any damage was seen."""

import argparse
import os
import signal
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def main() -> int:
    """What `python -m tests.faults` does."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument(
        "--kinds", nargs="+", metavar="KIND", help="kills, crash_points, ...; default: all but cluster_*"
    )
    parser.add_argument("--trials", type=int, help="at most so many of each fault; the tests take 1 (default: all)")
    parser.add_argument("--seed", type=int, default=0, help="draws every fault (default: 0)")
    parser.add_argument("--fault", help="trials of this line of the table alone")
    parser.add_argument("--number", type=int, help="this trial of --fault alone")
    parser.add_argument("--jobs", type=int, default=2, help="trials at the same time (default: 2)")
    parser.add_argument("--scratch", type=Path, default=ROOT / ".cache" / "faults", help="world, trials, what is done")
    parser.add_argument("--write", type=Path, help="file of the table, e.g. docs/robustness.md")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"  # before numpy and torch are there: trials are forked from this process
    sys.path.insert(0, str(ROOT / "tests" / "support"))
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # started in the background: what is tested must hear it
        signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # trials under way are ended then, too
    from tests.faults.whole import KINDS, show

    if unknown := sorted({*(options.kinds or ())} - KINDS.keys()):
        parser.error(f"--kinds {unknown[0]} is not known; there are {', '.join(KINDS)}.")
    return show(options)


if __name__ == "__main__":
    sys.exit(main())
