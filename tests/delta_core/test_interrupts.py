"""Ctrl-C and SIGTERM: one sentence and the shell's exit code, whatever a process is at, however often they come."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from contextlib import suppress

import pytest

from delta_core.training.interrupts import SIGNALS, interruptible

HEAD = """
import os, signal, sys, time
from delta_core.training import interrupts
from delta_core.training.command_line import told_in_one_sentence
from delta_core.training.interrupts import end_at_once
me = os.getpid()
def hang(number):
    os.kill(me, number)
    time.sleep(60)
"""


def ended(code: str, **options: object) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a process that sends signals to itself."""
    program = HEAD + textwrap.dedent(code)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=50, check=False, **options
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_signal_puts_things_in_order_and_is_one_sentence(name: str, code: int) -> None:
    work = f"""
        with told_in_one_sentence("tool", interrupted="kept."):
            try:
                hang(signal.{name})
            finally:
                print("in order")
    """
    assert ended(work) == (code, "in order\n", "tool: interrupted; kept.\n")


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_imports_end_where_they_are(name: str, code: int) -> None:
    work = f"""
        end_at_once("tool", "start it again.")
        with told_in_one_sentence("tool"):
            try:
                hang(signal.{name})
            except BaseException:
                print("an import that swallows everything")
    """
    assert ended(work) == (code, "", "tool: interrupted; start it again.\n")


def test_more_signals_at_once_are_the_same_wish() -> None:
    work = """
        with told_in_one_sentence("tool", interrupted="kept."):
            try:
                hang(signal.SIGINT)
            finally:
                os.kill(me, signal.SIGINT)
                os.kill(me, signal.SIGTERM)
                print("in order")
        """
    assert ended(work) == (130, "in order\n", "tool: interrupted; kept.\n")


def test_a_later_one_ends_what_hangs() -> None:
    work = """
        interrupts.ONE_WISH_S = -1.0
        with told_in_one_sentence("tool", interrupted="kept."):
            try:
                hang(signal.SIGINT)
            finally:
                hang(signal.SIGTERM)
    """
    assert ended(work) == (143, "", "")


@pytest.mark.parametrize(("number", "code"), [(0, 0), (2, 130)], ids=["finished", "interrupted"])
def test_a_signal_after_the_end_is_not_heard(number: int, code: int) -> None:
    """While Python takes itself down, when its modules go."""
    work = f"""
        class Module:
            def __del__(self, kill=os.kill, me=me, number=signal.SIGTERM):
                kill(me, number)
        module = Module()
        end_at_once("tool", "start it again.")
        with told_in_one_sentence("tool", interrupted="kept."):
            os.kill(me, {number})
    """
    assert ended(work) == (code, "", "tool: interrupted; kept.\n" if number else "")


def test_what_is_ignored_stays_ignored() -> None:
    def as_nohup() -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    work = """
        end_at_once("tool", "start it again.")
        with told_in_one_sentence("tool", interrupted="kept."):
            os.kill(me, signal.SIGINT)
            print("goes on")
    """
    assert ended(work, preexec_fn=as_nohup) == (0, "goes on\n", "")


def test_who_heard_signals_before_hears_them_again() -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    with interruptible():
        assert [signal.getsignal(number) for number in SIGNALS] != before
    assert [signal.getsignal(number) for number in SIGNALS] == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_forked_process_ends_by_a_signal_as_any_does(number: signal.Signals) -> None:
    """A pool that ends its processes must not find them in the middle of an exception, holding its lock."""
    with interruptible():
        child = os.fork()
        if child == 0:
            with suppress(BaseException):
                while True:
                    time.sleep(0.01)
            os._exit(7)
        time.sleep(0.1)
        os.kill(child, number)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -number


def ends_within(child: int, seconds: float) -> int | None:
    """Exit code of a child (negative: by which signal), or None after so long; then it is killed."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.001)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def test_a_forked_process_ends_wherever_a_signal_finds_it() -> None:
    """In its first instant, where Python forgets what came, and inside C, where Python does not look for it."""
    with interruptible():
        for _ in range(200):
            child = os.fork()
            if child == 0:
                while True:
                    signal.pause()
            os.kill(child, signal.SIGTERM)
            assert ends_within(child, 5) == -signal.SIGTERM
        child = os.fork()
        if child == 0:
            sum(range(10**13))
            os._exit(7)
        time.sleep(0.2)
        os.kill(child, signal.SIGTERM)
        assert ends_within(child, 5) == -signal.SIGTERM
