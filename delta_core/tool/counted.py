"""How far a pass over many things has come, told on stderr, so that what is printed meanwhile can be piped."""

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

EVERY = 500
"""Things after which a plain line is printed."""

T = TypeVar("T")


def counted(things: Iterable[T], total: int, what: str) -> Iterator[T]:
    """The same things; meanwhile a bar on a terminal, plain lines anywhere else.

    Where output goes to the terminal too, its lines alone tell how far it is.
    """
    console = Console(stderr=True)
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    hidden = not console.is_terminal or sys.stdout.isatty()
    with Progress(*columns, console=console, disable=hidden, transient=True, redirect_stdout=False) as progress:
        bar = progress.add_task(what, total=total)
        for done, thing in enumerate(things, start=1):
            yield thing
            progress.update(bar, completed=done)
            if not console.is_terminal and done % EVERY == 0 and done < total:
                print(f"{done} of {total} {what}", file=sys.stderr)
