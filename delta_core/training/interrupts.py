"""Ctrl-C and SIGTERM: one is enough, and no later one disturbs how things are brought to an end."""

import atexit
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)

ONE_WISH_S = 1.0
"""Signals within this time are one wish: wrappers pass a Ctrl-C on to a process that the terminal has told already."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM, raised wherever the main thread is."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.exit_code = exit_code_of(number)


def exit_code_of(number: int) -> int:
    """Exit code of a process that a signal ended, as shells have it."""
    return 128 + number


def end_at_once(prog: str, told: str) -> None:
    """From now on let Ctrl-C and SIGTERM end this process where it is, with one sentence on stderr.

    For the imports: what they run does not expect an exception from outside, and nothing needs to be put in order.

    Args:
        prog: what the person typed; stands in front of the sentence.
        told: what remains to be said.
    """

    def end(number: int, _: FrameType | None) -> None:
        os.write(2, f"{prog}: interrupted; {told}\n".encode())
        os._exit(exit_code_of(number))

    _handle(end)
    atexit.register(_hear_no_more)


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise `Interrupted` inside at the first Ctrl-C or SIGTERM, and leave time to put things in order.

    Until `ONE_WISH_S` later others are not heard; one that comes then ends the process where it is.
    """
    heard_at: list[float] = []

    def hear(number: int, _: FrameType | None) -> None:
        if not heard_at:
            heard_at.append(time.monotonic())
            raise Interrupted(number)
        if time.monotonic() - heard_at[0] > ONE_WISH_S:
            _show_cursor()
            os._exit(exit_code_of(number))

    before = _handle(hear)
    try:
        yield
    finally:
        if not heard_at:  # else the process is about to end
            _give_back(before)


@contextmanager
def heard_later() -> Iterator[Callable[[], bool]]:
    """Hold Ctrl-C and SIGTERM back inside, and give a function that tells whether one came.

    Who hears them outside does so as soon as the context is left, or at a second wish, where the first takes too long.
    """
    heard: list[tuple[int, float]] = []

    def note(number: int, _: FrameType | None) -> None:
        if not heard:
            heard.append((number, time.monotonic()))
        elif time.monotonic() - heard[0][1] > ONE_WISH_S:
            _give_back(before)
            signal.raise_signal(number)

    before = _handle(note)
    try:
        yield lambda: bool(heard)
    finally:
        _give_back(before)
        if heard:
            signal.raise_signal(heard[0][0])
            raise Interrupted(heard[0][0])  # who hears them outside does not end anything


Handler = Callable[[int, FrameType | None], object] | int | signal.Handlers | None


class _Heard:
    """A function that hears signals in this process; what is forked off it ends by them as any process does."""

    def __init__(self, handler: Callable[[int, FrameType | None], None]) -> None:
        self.handler = handler

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.handler(number, frame)


def _handle(handler: Callable[[int, FrameType | None], None]) -> dict[signal.Signals, Handler]:
    """Let a function hear the signals that are not to be ignored; returns who heard them before."""
    if threading.current_thread() is not threading.main_thread():  # there they cannot be heard
        return {}
    _forks_end_by_signals()
    before: dict[signal.Signals, Handler] = {number: signal.getsignal(number) for number in SIGNALS}
    heard = {number: by for number, by in before.items() if by != signal.SIG_IGN}  # ignored by nohup, say
    for number in heard:
        signal.signal(number, _Heard(handler))
    return heard


def _give_back(before: dict[signal.Signals, Handler]) -> None:
    for number, handler in before.items():
        signal.signal(number, handler)


@cache
def _forks_end_by_signals() -> None:
    """Give the signals their defaults in every process that is forked off, a pool's say, before one can be lost.

    Python forgets what comes between the fork and its own first step in the child, and hears nothing while the child
    is about to wait for a lock: a pool that ends its processes would wait for such a one for ever. So signals wait
    while a process is forked (each thread may fork, hence a mask for each), and find the default.
    """
    masks = threading.local()

    def hold() -> None:
        masks.before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)

    def let_go() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, masks.before)

    def default() -> None:
        for number in SIGNALS:
            if isinstance(signal.getsignal(number), _Heard):
                signal.signal(number, signal.SIG_DFL)
        let_go()

    os.register_at_fork(before=hold, after_in_parent=let_go, after_in_child=default)


def _hear_no_more() -> None:
    """While Python takes itself down it gives signals back their defaults: the exit code would be another one."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _show_cursor() -> None:
    """A progress bar hides it."""
    if sys.stdout.isatty():
        os.write(sys.stdout.fileno(), b"\x1b[?25h")
