"""Kills at chosen operations on files, in a process of their own."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

KILLED = 9
EVENTS = ("open", "os.", "shutil.")


def killed_at(number: int, action: Callable[[], object], below: Path) -> bool:
    """Run something in a forked process that dies just before its operation of that number on files below a folder.

    False where there are fewer operations, so that it came to its end.
    """
    child = os.fork()
    if not child:
        seen = 0

        def count(event: str, args: tuple[object, ...]) -> None:
            nonlocal seen
            if not event.startswith(EVENTS) or not args or not isinstance(args[0], str | Path):
                return
            path = Path(args[0])
            if not path.is_absolute() or below in path.parents:  # what removes a tree names things by their folder
                seen += 1
                if seen == number:
                    os._exit(KILLED)

        code = 1
        try:
            sys.addaudithook(count)
            action()
            code = 0
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, KILLED), f"ended with {code}"
    return code == KILLED
