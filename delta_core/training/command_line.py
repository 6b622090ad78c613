"""How every command line of ours ends: a person's mistake is one sentence and exit code 2, an interruption 130."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from delta_core.errors import DeltaError
from delta_core.training.errors import UserError


@contextmanager
def told_in_one_sentence(
    prog: str, *, interrupted: str, refusals: tuple[type[Exception], ...] = (UserError, DeltaError)
) -> Iterator[None]:
    """Print what goes wrong inside as one sentence on stderr, and leave the process with its exit code.

    Args:
        prog: what the person typed; stands in front of the sentence.
        interrupted: what remains to be said after Ctrl-C: what is kept, and how to go on.
        refusals: exceptions whose text is that sentence.
    """
    try:
        yield
    except refusals as error:
        print(f"{prog}: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print(f"{prog}: interrupted; {interrupted}", file=sys.stderr)
        sys.exit(130)
