"""How every command line of ours ends: a person's mistake is one sentence and exit code 2, an interruption 130."""

import os
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Annotated, Any, Union

from delta_core.errors import DeltaError
from delta_core.nearest import unknown
from delta_core.plain_text import shown
from delta_core.training.errors import UserError, missing_package, trouble_of_the_machine
from delta_core.training.interrupts import interruptible

BROKEN_PIPE = 141
"""Exit code where whoever read the output has gone, as shells have it."""


@contextmanager
def told_in_one_sentence(
    prog: str, *, interrupted: str | None = None, refusals: tuple[type[Exception], ...] = (UserError, DeltaError)
) -> Iterator[None]:
    """Print what goes wrong inside as one sentence on stderr, and leave the process with its exit code.

    Ctrl-C is exit code 130 and SIGTERM 143. Full memory, a full disk and forbidden files are exit code 1; a reader that
    has gone ends in silence.

    Args:
        prog: what the person typed; stands in front of the sentence.
        interrupted: what remains to be said after a signal: what is kept, and how to go on. Where it is given, what
            happens inside is `interruptible`.
        refusals: exceptions whose text is that sentence.
    """
    try:
        try:
            with nullcontext() if interrupted is None else interruptible():
                yield
        finally:
            _flush()
    except refusals as error:
        print(f"{prog}: {shown(str(error))}", file=sys.stderr)
        sys.exit(2)
    except ModuleNotFoundError as error:
        missing = missing_package(error)
        if missing is None:
            raise
        print(f"{prog}: {missing}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt as error:
        print(f"{prog}: interrupted; {interrupted or 'start it again.'}", file=sys.stderr)
        sys.exit(getattr(error, "exit_code", 130))
    except BrokenPipeError:
        sys.exit(BROKEN_PIPE)
    except Exception as error:
        trouble = trouble_of_the_machine(error)
        if trouble is None:
            raise
        print(f"{prog}: {trouble}", file=sys.stderr)
        sys.exit(1)


def dispatch(
    commands: Mapping[str, Callable[..., Any]],
    *,
    prog: str,
    description: str | None,
    shows: Mapping[str, str] | None = None,
) -> Any:
    """Call the command that the person named with the flags that they gave; `--version` is answered here.

    Args:
        commands: by name.
        prog: what the person typed.
        description: what stands above the commands in the help text.
        shows: help text of a command, where it is not the docstring of what is called.

    Raises:
        UserError: for a command that is not known.
    """
    import tyro  # of the extra `train`, which those who catch errors alone can do without

    first = sys.argv[1] if len(sys.argv) > 1 else "-"
    if first == "--version":
        print(version_line(prog))
        return 0
    if first not in commands and not first.startswith("-"):
        raise UserError(unknown("Command", first, commands, f"{prog} --help"))
    choice: Any = Union[  # noqa: UP007 - of as many as there are
        tuple(
            Annotated[Any, tyro.conf.subcommand(name, constructor=command, description=(shows or {}).get(name))]
            for name, command in commands.items()
        )
    ]
    return tyro.cli(choice, prog=prog, description=f"{description} --version says which version this is.")


def version_line(prog: str) -> str:
    """Version of the library and of torch, and the commit, if this is a checkout; `+`: with changes."""
    from delta_core.training.provenance import git_state, version_of  # with torch

    commit, changed = git_state()
    at = f", commit {commit[:12]}{'+' if changed else ''}" if commit else ""
    return f"{prog}: delta-patching {version_of('delta-patching')}, torch {version_of('torch')}{at}"


@contextmanager
def warnings_in_one_line(prog: str) -> Iterator[None]:
    """Print warnings without the place in the code that they come from."""
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_, **__: print(f"{prog}: {shown(str(message))}", file=sys.stderr)
        yield


def _flush() -> None:
    """Flush stdout now, where a reader that has gone or a full disk can still be told of."""
    try:
        sys.stdout.flush()
    except OSError:
        with suppress(OSError):  # else Python tries once more at its end, and complains
            os.dup2(os.open(Path(os.devnull), os.O_WRONLY), sys.stdout.fileno())
        raise
