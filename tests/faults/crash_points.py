"""The end of everything at the N-th file operation: opening for writing, renaming, removing, making of folders.

Operations are counted by an audit hook in the child and in all that it forks. What C++ and Rust write themselves has no
hook; the renaming after it has.
"""

import mmap
import os
import signal
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random

from forked import run

from tests.faults.commands import troubles
from tests.faults.groups import Group, Trial
from tests.faults.verdict import Verdict, seen_together
from tests.faults.works import COLLECT, FIT_OVER, FORGET, MERGE, PRETRAINING, RECORD, SAVE_PATCH, STORE, Work, extent
from tests.faults.world import World

CHANGES = {
    "os.rename": 1, "os.remove": 0, "os.mkdir": 0, "os.rmdir": 0, "os.truncate": 0, "os.link": 1, "os.symlink": 1,
    "os.chmod": 0,
}  # fmt: skip
"""Audit event -> which of its arguments is the path that changes."""
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def changed_path(event: str, arguments: tuple[object, ...]) -> str:
    """The path that an operation is about to change; empty for one that changes none."""
    if event == "open":
        flags = arguments[2]
        return str(_text(arguments[0])) if isinstance(flags, int) and flags & WRITES else ""
    return _text(arguments[CHANGES[event]]) if event in CHANGES else ""


def _text(path: object) -> str:
    return os.fsdecode(path) if isinstance(path, str | bytes | os.PathLike) else ""


class Operations:
    """Called in a process, it puts a hook into it and into all that it forks.

    Args:
        below: folder whose files count.
        act: called before each operation with its number, from 1.
    """

    def __init__(self, below: Path, act: Callable[[int], None]) -> None:
        self._root = f"{below}{os.sep}"
        self._act = act
        self._count = mmap.mmap(-1, 8)  # shared by all processes

    @property
    def count(self) -> int:
        """Operations so far."""
        return int(struct.unpack("q", self._count[:8])[0])

    def __call__(self) -> None:
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[object, ...]) -> None:
        path = changed_path(event, arguments)
        if path and os.path.abspath(path).startswith(self._root):  # noqa: PTH100 - Path is slow, and resolves links
            number = self.count + 1
            self._count[:8] = struct.pack("q", number)
            self._act(number)


def operations_of(world: World, work: Work, folder: Path) -> int:
    """How many file operations the undisturbed work has."""

    def measure(undisturbed: Path) -> dict[str, float]:
        operations = Operations(undisturbed, lambda _: None)
        run(work.action, undisturbed, first=operations)
        return {"operations": operations.count}

    return int(extent(world, work, folder, measure, "operations")["operations"])


def _crashed(work: Work) -> Trial:
    def trial(world: World, random: Random, folder: Path) -> Verdict:
        chosen = random.randint(1, operations_of(world, work, folder))
        work.prepare(world, folder)

        def end_all(number: int) -> None:
            if number == chosen:
                os.killpg(0, signal.SIGKILL)

        crashed = run(work.action, folder, first=Operations(folder, end_all))
        found = seen_together([troubles(crashed), work.done_again(world, folder)])
        return found if found.clean else seen_together([found, Verdict(notes=(f"crash at file operation {chosen}",))])

    return trial


GROUPS = tuple(
    Group(fault=f"crash at a file operation of {work.name}", trial=_crashed(work), whole=whole)
    for work, whole in (
        (COLLECT, 30), (MERGE, 30), (FORGET, 30), (RECORD, 20), (FIT_OVER, 40), (SAVE_PATCH, 30),
        (STORE, 20), (PRETRAINING, 20),
    )
)  # fmt: skip
